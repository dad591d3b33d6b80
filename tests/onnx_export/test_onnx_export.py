"""A trained model and what is exported of it give the same bits; without torch, too; and what differs is refused."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model_makers import random_model
from nearbit.codes import signs_of
from nearbit.errors import BundleError, InputError, MissingExtraError
from nearbit.index import create_index
from nearbit.model.load import TorchEncoder, load_encoder
from nearbit.model.onnx import load_onnx_model
from nearbit.networks import ExpectedCenter, HashNetwork, Head, make_backbone
from nearbit.onnx_export import export, export_onnx, network_bytes
from tiny_data import tiny_dataset, tiny_pixels, tiny_split

for _name in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(_name, reason=f"{_name} is not installed")

PIXELS = tiny_pixels(tiny_dataset().labels)
ROUNDING = 1e-4
"""What two ways of adding up the same numbers differ by at most, as a share of the largest output."""

FEW = 0.01
"""Share of bits that rounding may decide: outputs spread over 1 lie within 1e-4 of 0 about once in 10,000."""

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def model():
    return random_model()


@pytest.fixture(scope="module")
def images(model):
    """Images of which no output is so near to 0 that rounding decides its sign, on any machine."""
    outputs = np.abs(model.outputs(list(PIXELS), device="cpu"))
    clear = outputs.min(axis=1) > 10 * ROUNDING * outputs.max()
    assert clear.sum() > 20
    return PIXELS[clear]


@pytest.fixture(scope="module")
def content(model):
    return network_bytes(model)


@pytest.fixture
def traced(content, monkeypatch):
    """Give what was exported once wherever the same model is to be exported."""
    monkeypatch.setattr(export, "network_bytes", lambda model: content)


@pytest.fixture
def folder(model, traced, tmp_path):
    export_onnx(model).model.save(tmp_path / "a.onnx")
    return tmp_path / "a.onnx"


def test_what_classifiers_say_beside_a_head_is_exported_with_it(tmp_path):
    model = random_model()
    head = model.network.head
    torch.manual_seed(4)
    width = model.network.backbone.spec.feature_dim
    center = ExpectedCenter([Head(width, 3, "hidden", hidden=5) for _ in range(2)], model.n_bits)
    center.set_centers(torch.from_numpy(model.centers.centers))
    center.project(Head(width, model.n_bits, "linear", unit_length=True))
    center.set_mixture(0.7, (0.5, 2.0, 0.5))
    with torch.no_grad():
        for value in center.parameters():
            value.copy_(torch.randn(value.shape))
    plain = model.outputs(list(PIXELS), device="cpu")
    head.expect(center.eval())
    joined = replace(model, head=head.spec)
    outputs = joined.outputs(list(PIXELS), device="cpu")
    assert np.abs(outputs - 0.5 * np.tanh(plain)).max() > 0.5  # it says something
    export_onnx(joined).model.save(tmp_path / "joined.onnx")
    found = load_onnx_model(tmp_path / "joined.onnx", threads=1).outputs(list(PIXELS))
    np.testing.assert_allclose(found, outputs, rtol=0, atol=ROUNDING * np.abs(outputs).max())


def test_a_shortened_model_is_exported_as_any_other(model, images, tmp_path):
    export_onnx(model.shortened(4)).model.save(tmp_path / "short.onnx")
    found = load_onnx_model(tmp_path / "short.onnx", threads=1)
    outputs = model.outputs(list(images[:9]), device="cpu")
    assert found.n_bits == 4
    np.testing.assert_allclose(found.outputs(list(images[:9])), outputs[:, :4], atol=ROUNDING * np.abs(outputs).max())


@pytest.mark.parametrize("n", [1, 2, 17, 30])
def test_outputs_of_the_exported_network_are_those_of_the_model(model, folder, images, n):
    exported = load_onnx_model(folder, threads=1)
    before, after = model.outputs(list(PIXELS[:n]), device="cpu"), exported.outputs(list(PIXELS[:n]))
    assert np.abs(before - after).max() < ROUNDING * np.abs(before).max()
    clear = list(images[:n])
    assert np.array_equal(model.encode(clear, device="cpu"), exported.encode(clear))
    assert (exported.model_id, exported.n_bits, exported.classes) == (model.model_id, model.n_bits, model.classes)
    assert np.array_equal(exported.centers, model.centers.centers)


def test_an_export_records_its_parity(model, folder):
    parity = load_onnx_model(folder).about["parity"]
    assert (parity["n_images"], parity["sample"]) == (68, "built-in images and noise")
    assert parity["equal_bits"] > 1 - FEW
    assert 0 <= parity["largest_difference"] <= parity["tolerance"]


def test_an_export_is_compared_on_the_images_that_are_given(model, traced):
    dataset = tiny_dataset()
    found = export_onnx(model, dataset=dataset)
    assert found.parity.n_images == len(tiny_split(dataset).query)
    assert found.parity.sample == "query images of tiny"
    assert found.retrieval is None


def test_a_network_holds_nothing_of_the_machine_that_made_it(content):
    for word in (str(ROOT), "/src/", "site-packages", "nearbit.networks", "stack_trace", f"{Path.home()}/"):
        assert word.encode() not in content, word


def test_a_network_that_is_not_the_model_is_refused(model, traced):
    other = replace(model, network=random_model(seed=1).network)
    with pytest.raises(BundleError, match=r"is not the model: an output differs by .*% of the bits"):
        export_onnx(other)


def test_int8_needs_images(model, traced):
    with pytest.raises(InputError, match="int8 needs images like those that will be encoded"):
        export_onnx(model, int8=True)


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_exporting_without_its_packages_names_the_extra(model, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        MissingExtraError, match=rf"exporting to ONNX needs the package {package}, .*: pip install .*onnx"
    ):
        network_bytes(model)


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # importing it is an error
import numpy as np
from nearbit.model.load import load_encoder
from nearbit.cli.main import run
encoder = load_encoder("a.onnx")
from nearbit.codes import pack, signs_of
images = list(np.load("images.npy"))
print(pack(signs_of(encoder.outputs(images))).tobytes().hex())
for command in (
    ["search", "a.index", "query.png", "--model", "a.onnx", "-k", "3", "--json"],
    ["index", "a.index", "query.png", "--model", "a.onnx", "--json"],
    ["encode", "a.onnx", "query.png", "-o", "codes.npz", "--json"],
    ["inspect", "a.onnx", "--json"],
    ["inspect", "a.index", "--json"],
):
    assert run(command) == 0, command
print(*sorted(name for name in sys.modules if name.split(".")[0] in ("torch", "onnx", "transformers")))
"""


def test_without_torch_images_are_encoded_searched_and_indexed_as_with_it(model, folder, images):
    from PIL import Image

    place = folder.parent
    codes = model.encode(list(images), device="cpu")
    with create_index(place / "a.index", 12, model_id=model.model_id) as index:
        index.add(codes)
        expected = index.search(codes[4:5], k=3)
    np.save(place / "images.npy", images)
    Image.fromarray(images[4]).save(place / "query.png")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "NEARBIT_CACHE": str(place / "cache")}
    command = [sys.executable, "-c", WITHOUT_TORCH]
    done = subprocess.run(command, capture_output=True, text=True, cwd=place, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == codes.tobytes().hex()
    found, indexed, encoded, exported, inspected = map(json.loads, lines[1:6])
    assert [(one["id"], one["distance"]) for one in found["results"][0]["neighbors"]] == expected.pairs(0)
    assert (indexed["added"], indexed["items"]) == (1, len(images) + 1)
    assert encoded["model_id"] == exported["model_id"] == model.model_id
    assert inspected["health"]["n_items"] == len(images) + 1
    assert lines[6].split() == ["torch"]  # the entry that forbids it
    with np.load(place / "codes.npz") as file:
        assert np.array_equal(file["codes"], codes[4:5])


def test_an_encoder_is_made_of_either_kind_of_folder(model, folder, images):
    model.save(folder.parent / "a.model")
    images = list(images[:5])
    for place, device in ((folder, "auto"), (folder.parent / "a.model", "cpu")):
        encoder = load_encoder(place, device=device, threads=1)
        assert (encoder.n_bits, encoder.model_id, encoder.classes) == (12, model.model_id, model.classes)
        assert encoder.preprocessing == model.preprocessing
        assert np.array_equal(signs_of(encoder.outputs(images)), signs_of(model.outputs(images, device="cpu")))
    with pytest.raises(InputError, match="an exported network runs on the CPU, not on 'cuda'"):
        load_encoder(folder, device="cuda")
    with pytest.raises(InputError, match="at least 1, not 0"):
        load_encoder(folder, threads=0)
    with pytest.raises(BundleError, match="there is no model at"):
        load_encoder(folder.parent)


def test_a_trained_model_as_an_encoder_uses_its_own_number_of_threads_and_gives_the_number_back(model, monkeypatch):
    seen, before = [], torch.get_num_threads()
    monkeypatch.setattr(type(model), "outputs", lambda self, images, device: seen.append(torch.get_num_threads()))
    for threads in (1, 2, 3):
        TorchEncoder(model, threads=threads, device="cpu").outputs([])
        assert torch.get_num_threads() == before
    assert seen == [1, 2, 3]


def test_a_folder_of_the_other_kind_is_named(model, folder):
    from nearbit.model.bundle import load_model

    model.save(folder.parent / "a.model")
    with pytest.raises(BundleError, match="but a network exported for ONNX Runtime: name the model folder that it was"):
        load_model(folder)
    with pytest.raises(BundleError, match="but the trained one"):
        load_onnx_model(folder.parent / "a.model")


HEADS = {
    "hidden": {"kind": "hidden", "hidden": 32},
    "normalized": {"kind": "linear", "normalized": True},
    "label": {"kind": "label", "hidden": 5},
}


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("backbone", ["small", "resnet18"])
def test_every_backbone_and_head_of_ours_can_be_exported(backbone, head):
    torch.manual_seed(3)
    body = make_backbone(backbone, image_size=32)
    top = Head(body.spec.feature_dim, 65, **HEADS[head])
    for value in top.state_dict().values():
        if value.is_floating_point() and value.ndim == 2:
            torch.nn.init.normal_(value)
    top.feature_mean.normal_()
    top.feature_std.uniform_(0.5, 2)
    model = replace(random_model(n_bits=65), network=HashNetwork(body, top).eval(), head=top.spec)
    found = export_onnx(model)
    assert found.parity.equal_bits > 1 - FEW
    again = network_bytes(model)
    assert again == found.model.content
