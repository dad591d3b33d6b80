"""A module of one's own as a backbone: frozen and fine-tuned, cached by its weights, saved without its code."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

import nearbit as nb
from nearbit.errors import BundleError, InputError
from nearbit.networks import make_backbone
from tiny_data import tiny_dataset, tiny_split

SIZE = 8


class Net(nn.Module):
    """Means of parts of an image and of their squares, through a linear map; two names for one weight."""

    def __init__(self, power=2):
        super().__init__()
        self.power = power
        self.pool = nn.AdaptiveAvgPool2d(4)
        self.linear = nn.Linear(96, 24)
        self.tied = self.linear

    def forward(self, images):
        return self.linear(torch.cat([self.pool(images), self.pool(images**self.power)], dim=1).flatten(1))


def net(seed=0, **given):
    torch.manual_seed(seed)
    return Net(**given)


DATASET = tiny_dataset()
SPLIT = tiny_split(DATASET)


def trained(backbone, **given):
    options = nb.TrainOptions(backbone=backbone, epochs=2, batch_size=8, head="linear", device="cpu", **given)
    return nb.train(DATASET, SPLIT, method="csq", n_bits=8, options=options)


@pytest.fixture(scope="module")
def model():
    return trained(nb.backbone_of(net(), image_size=SIZE, mean=(0.5,) * 3, std=(0.5,) * 3))


def test_a_module_is_a_frozen_backbone_with_its_preprocessing(model):
    module, dataset = net().eval(), DATASET
    assert model.record["regime"] == "frozen"
    assert model.record["options"]["backbone"] == "module:Net"
    assert model.network.backbone.spec.feature_dim == 24
    images = [model.preprocessing.apply(dataset.source.read(row)) for row in range(4)]
    pixels = (torch.from_numpy(np.stack(images)).float() / 255 - 0.5) / 0.5
    with torch.no_grad():
        expected = model.network.head.eval()(module(pixels)).numpy()
    assert np.allclose(model.encode_dataset(dataset, [0, 1, 2, 3]).outputs, expected, atol=1e-4)
    assert nb.evaluate(model, dataset, device="cpu").report.figures["tie_aware_map"] > 0


def test_the_module_itself_stays_as_it_is():
    module = net().train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    fine_tuned = trained(module, image_size=SIZE, regime="fine-tuned")
    assert module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    weight = fine_tuned.network.backbone.module.linear.weight
    assert not torch.equal(weight, before["linear.weight"])


@pytest.mark.parametrize("regime", ["frozen", "fine-tuned"])
def test_a_saved_model_is_opened_with_the_module(regime, tmp_path):
    model = trained(net(), image_size=SIZE, regime=regime)
    with pytest.warns(
        UserWarning, match=r"weights of .*Net and not its code: open it with load_model\('m.model', backbone"
    ):
        model.save(tmp_path / "m.model")
    opened = nb.load_model(tmp_path / "m.model", backbone=net(seed=5))
    assert opened.model_id == model.model_id
    rows = [0, 9, 20]
    found = opened.encode_dataset(DATASET, rows).outputs
    assert np.allclose(found, model.encode_dataset(DATASET, rows).outputs, atol=1e-5)


def test_what_opens_no_such_model_is_said(model, tmp_path):
    path = tmp_path / "m.model"
    with pytest.warns(UserWarning, match="not its code"):
        model.save(path)
    with pytest.raises(BundleError, match=r"a module of its maker's .*load_model\(path, backbone=module\)"):
        nb.load_model(path)
    with pytest.raises(BundleError, match=r"computes other features than module:Net did"):
        nb.load_model(path, backbone=net(power=3))
    with pytest.raises(BundleError, match=r"linear|has no place|is missing"):
        nb.load_model(path, backbone=nn.Linear(3, 4))
    with pytest.raises(InputError, match="backbone must be a torch module, not str"):
        nb.load_model(path, backbone="small")
    plain = trained("small", image_size=SIZE)
    plain.save(tmp_path / "plain.model")
    with pytest.raises(InputError, match="builds its backbone small itself: leave backbone out"):
        nb.load_model(tmp_path / "plain.model", backbone=net())


def test_features_are_cached_by_weights_and_by_what_is_computed():
    one, same, other, cubes = (
        nb.backbone_of(module, image_size=SIZE).fingerprint() for module in (net(), net(), net(1), net(power=3))
    )
    assert one == same
    assert len({one, other, cubes, nb.backbone_of(net(), image_size=SIZE, std=(0.3,) * 3).fingerprint()}) == 4


@pytest.mark.portable
def test_such_a_model_is_exported(model):
    pytest.importorskip("onnxscript")
    from nearbit.onnx_export import export_onnx

    exported = export_onnx(model).model
    pixels = [np.asarray(DATASET.source.read(row)) for row in range(3)]
    assert np.allclose(exported.outputs(pixels), model.outputs(pixels, device="cpu"), atol=1e-3)


class Pair(nn.Module):
    """Gives two things."""

    def forward(self, images):
        return images, images


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nb.backbone_of("resnet18", image_size=8), r"must be a torch module \(torch.nn.Module\), not str"),
        (lambda: nb.backbone_of(nn.Linear(5, 5), image_size=8), "module:Linear cannot take images of 8 x 8 pixels"),
        (
            lambda: nb.backbone_of(nn.Identity(), image_size=8),
            r"must give features \(n, feature_dim\), not \(1, 3, 8, 8\)",
        ),
        (lambda: nb.backbone_of(Pair(), image_size=8), "not tuple"),
        (lambda: nb.backbone_of(net(), image_size=0), "size"),
        (lambda: nb.backbone_of(net(), image_sizes=8), "Did you mean 'image_size'"),
        (lambda: nb.TrainOptions(backbone=3), "backbone must be a name or a torch module, not int"),
        (lambda: trained(net()), "a module needs an image_size"),
        (lambda: trained(net(), image_size=8, weights="w"), "has its weights already"),
        (lambda: trained(nb.backbone_of(net(), image_size=8), image_size=9), "leave it out of the options"),
        (lambda: make_backbone("module:Net"), "unknown backbone 'module:Net'"),
    ],
)
def test_what_is_no_backbone_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_a_data_set_of_features_takes_no_backbone():
    features = nb.from_features(np.eye(12), [0, 1, 2] * 4)
    options = nb.TrainOptions(backbone=net())
    with pytest.raises(InputError, match="backbone=Net is for images"):
        nb.train(features, nb.make_split(features), n_bits=4, options=options)


@pytest.mark.parametrize(("momentum", "is_warned_of"), [(0.997, True), (0.1, False), (None, False)])
def test_norms_that_remember_the_last_batch_alone_are_warned_of_where_they_are_trained(momentum, is_warned_of):
    layers = (torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4, momentum=momentum), torch.nn.AdaptiveAvgPool2d(1))
    backbone = nb.backbone_of(torch.nn.Sequential(*layers, torch.nn.Flatten()), image_size=SIZE)
    for regime in ("fine-tuned", "frozen"):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            trained(backbone, regime=regime)
        about = [one for one in caught if "momentum 0.997" in str(one.message)]
        assert len(about) == (is_warned_of and regime == "fine-tuned")
