"""What a transformers folder says about preprocessing; stand-ins for timm and transformers, which are extras."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from nearbit.errors import BundleError, DataError, InputError
from nearbit.networks import BackboneSpec, Preprocessing, make_backbone, rebuild_backbone

HALF = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3}


class Model(nn.Module):
    """A stand-in for a transformers model: its last hidden states are the pixels, doubled by its one weight."""

    def __init__(self, config, *, add_pooling_layer=True):
        super().__init__()
        self.config = config
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.pooler = nn.Linear(3, 3) if add_pooling_layer else None

    def forward(self, pixel_values):
        if pixel_values.shape[-1] not in self.config.sizes:
            raise ValueError("Input image size doesn't match model.\nmore")
        hidden = (self.scale * pixel_values).flatten(2).transpose(1, 2)
        pooled = None if self.pooler is None else self.pooler(hidden[:, 0])
        return SimpleNamespace(last_hidden_state=hidden, pooler_output=pooled)


class Config:
    def __init__(self, sizes=(8, 16), **rest):
        self.sizes, self.rest = tuple(sizes), rest

    def to_dict(self):
        return {"model_type": "stand-in", "sizes": list(self.sizes), "_name_or_path": "/where/it/lies"} | self.rest


class Both(nn.Module):
    """A stand-in for a model of images and text."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.vision_model = Model(config)


class Logging:
    """A stand-in for the library's logging: keeps what is set."""

    def __init__(self):
        self.wordiness, self.bars = 30, True

    def get_verbosity(self):
        return self.wordiness

    def set_verbosity(self, value):
        self.wordiness = value

    def set_verbosity_error(self):
        self.wordiness = 40

    def is_progress_bar_enabled(self):
        return self.bars

    def enable_progress_bar(self):
        self.bars = True

    def disable_progress_bar(self):
        self.bars = False


@pytest.fixture
def library(monkeypatch):
    """Put a stand-in where `import transformers` looks; `missing` and `kind` say what a folder holds."""
    library = SimpleNamespace(missing=[], kind=Model, calls=[], logging=Logging())

    def from_pretrained(source, *, output_loading_info, **given):
        library.calls.append(given | {"wordiness": library.logging.wordiness, "bars": library.logging.bars})
        assert output_loading_info
        pooling = {key: given[key] for key in given if key == "add_pooling_layer"}
        gone = [name for name in library.missing if not (pooling and name.startswith("pooler."))]
        return library.kind(Config(), **pooling), {"missing_keys": set(gone)}

    def for_model(kind, **values):
        if kind != "stand-in":
            raise ValueError(f"Unrecognized model identifier: {kind}")
        return Config(**values)

    def from_config(config, *, trust_remote_code, dtype, **given):
        assert (trust_remote_code, dtype) == (False, torch.float32)
        return library.kind(config, **given)

    fake = SimpleNamespace(
        utils=SimpleNamespace(logging=library.logging),
        AutoModel=SimpleNamespace(from_pretrained=from_pretrained, from_config=from_config),
        AutoConfig=SimpleNamespace(for_model=for_model),
    )
    monkeypatch.setitem(sys.modules, "transformers", fake)
    return library


def folder(tmp_path, **settings):
    text = json.dumps({"size": {"height": 8, "width": 8}} | HALF | settings)
    (tmp_path / "preprocessor_config.json").write_text(text, encoding="utf-8")
    return f"hf:{tmp_path}"


def features(backbone):
    with torch.no_grad():
        return backbone.eval()(torch.arange(3 * 64, dtype=torch.uint8).reshape(1, 3, 8, 8))


def rebuilt(backbone):
    again = rebuild_backbone(BackboneSpec(**json.loads(json.dumps(backbone.spec.__dict__))), backbone.preprocessing)
    again.load_state_dict(backbone.state_dict())
    return again


def test_a_folder_is_loaded_quietly_in_float32_without_code_of_its_own_and_rebuilt(tmp_path, library):
    backbone = make_backbone(folder(tmp_path))
    (given,) = library.calls
    assert (given["dtype"], given["trust_remote_code"], given["use_safetensors"]) == (torch.float32, False, True)
    assert (given["wordiness"], given["bars"]) == (40, False)
    assert (library.logging.wordiness, library.logging.bars) == (30, True)
    spec = backbone.spec
    assert (spec.name, spec.feature_dim, spec.pretrained) == (f"hf:{tmp_path.name}", 3, True)
    assert spec.source == tmp_path.name
    assert spec.config == {"model_type": "stand-in", "sizes": [8, 16]}
    assert backbone.module.model.pooler is not None
    assert torch.equal(features(rebuilt(backbone)), features(backbone))


def test_a_pooler_without_weights_is_left_out_also_when_rebuilt(tmp_path, library):
    library.missing = ["pooler.dense.bias", "pooler.dense.weight"]
    backbone = make_backbone(folder(tmp_path))
    assert backbone.spec.config["add_pooling_layer"] is False
    assert not any("pooler" in name for name in backbone.state_dict())
    pixels = np.arange(3 * 64).reshape(3, 64) / 255
    assert np.allclose(features(backbone), 2 * (pixels.mean(axis=1) - 0.5) / 0.25, atol=1e-5)
    assert torch.equal(features(rebuilt(backbone)), features(backbone))


class Normed(Model):
    """A model with layers of batch normalisation, of momenta as they come."""

    momenta = (0.997, 0.9997, 0.01, 0.1, None)

    def __init__(self, config):
        super().__init__(config)
        self.norms = nn.ModuleList(nn.BatchNorm2d(3, momentum=momentum) for momentum in self.momenta)


def test_batch_normalisation_remembers_more_than_the_last_batch(tmp_path, library):
    library.kind = Normed
    backbone = make_backbone(folder(tmp_path))
    for one in (backbone, rebuilt(backbone)):
        assert [layer.momentum for layer in one.module.model.norms] == [0.1, 0.1, 0.01, 0.1, None]
        assert one.module.has_other_norms
    library.kind = Model
    assert not make_backbone(folder(tmp_path)).module.has_other_norms


@pytest.mark.parametrize("missing", [["encoder.weight"], ["encoder.weight", "pooler.dense.weight"]])
def test_other_missing_weights_are_refused(tmp_path, library, missing):
    library.missing = missing
    with pytest.raises(DataError, match=r"parameters are missing \(first: \['encoder.weight'"):
        make_backbone(folder(tmp_path))


def test_missing_counters_do_not_matter(tmp_path, library):
    library.missing = ["bn1.num_batches_tracked"]
    assert make_backbone(folder(tmp_path)).module.model.pooler is not None


def test_of_a_model_of_images_and_text_the_image_part_is_taken(tmp_path, library):
    library.kind = Both
    library.missing = ["text_model.weight"]
    backbone = make_backbone(folder(tmp_path))
    assert isinstance(backbone.module.model, Model)
    assert torch.equal(features(rebuilt(backbone)), features(backbone))
    library.missing = ["vision_model.encoder.weight"]
    with pytest.raises(DataError, match=r"1 parameters are missing \(first: \['vision_model.encoder.weight'\]\)"):
        make_backbone(folder(tmp_path))


def test_an_image_size_that_the_model_cannot_take_is_refused_at_once(tmp_path, library):
    assert make_backbone(folder(tmp_path), image_size=16).preprocessing.size == 16
    with pytest.raises(
        InputError, match=r"cannot take images of 9 x 9 pixels: Input image size doesn't match model\.$"
    ):
        make_backbone(folder(tmp_path), image_size=9)


def test_a_configuration_that_the_library_does_not_know_is_refused(library):
    spec = BackboneSpec(name="hf:x", feature_dim=3, pretrained=True, source="x", config={"model_type": "newer"})
    with pytest.raises(BundleError, match="Unrecognized model identifier: newer; update transformers"):
        rebuild_backbone(spec, Preprocessing(size=8, resize=8))


def test_a_folder_without_preprocessing_is_refused(tmp_path, library):
    with pytest.raises(DataError, match=r"no backbone could be loaded from hf:.*No such file"):
        make_backbone(f"hf:{tmp_path}")


@pytest.mark.parametrize(
    ("text", "match"), [("[" * 200_000, "nested too deeply"), ("[]", "expected a JSON object"), ("{", "is not JSON")]
)
def test_preprocessing_that_cannot_be_used_is_refused(tmp_path, library, text, match):
    (tmp_path / "preprocessor_config.json").write_text(text)
    with pytest.raises(DataError, match=match):
        make_backbone(f"hf:{tmp_path}")


@pytest.mark.parametrize(
    ("settings", "size", "resize"),
    [
        ({"size": 8}, 8, 8),
        ({"size": {"shortest_edge": 16}, "do_center_crop": True, "crop_size": {"height": 8, "width": 8}}, 8, 16),
        ({"size": {"shortest_edge": 16}, "do_center_crop": True, "crop_size": 8}, 8, 16),
        ({"size": 16, "do_center_crop": False, "crop_size": 8}, 16, 16),
        ({"size": 8, "do_center_crop": True, "crop_size": 16}, 16, 16),
        ({"size": {"shortest_edge": 16}, "crop_pct": 0.875}, 16, 18),
        ({"size": 16, "do_center_crop": True, "crop_size": 16, "image_processor_type": "LevitImageProcessor"}, 16, 18),
        ({"size": {"height": 16, "width": 16}, "image_processor_type": "LevitImageProcessor"}, 16, 16),
    ],
)
def test_sizes_of_a_folder(tmp_path, library, settings, size, resize):
    preprocessing = make_backbone(folder(tmp_path, **settings)).preprocessing
    assert (preprocessing.size, preprocessing.resize) == (size, resize)
    assert (preprocessing.mean, preprocessing.std) == ((0.5,) * 3, (0.25,) * 3)


@pytest.mark.parametrize(("resample", "name"), [(0, "nearest"), (1, "lanczos"), (2, "bilinear"), (3, "bicubic")])
def test_the_interpolation_of_a_folder(tmp_path, library, resample, name):
    assert make_backbone(folder(tmp_path, resample=resample)).preprocessing.interpolation == name


@pytest.mark.parametrize(
    ("settings", "std"),
    [
        ({"image_processor_type": "EfficientNetImageProcessor"}, 0.0625),
        ({"include_top": True}, 0.25),
        ({"image_processor_type": "EfficientNetImageProcessor", "include_top": False}, 0.25),
    ],
)
def test_what_is_divided_twice_by_the_deviation(tmp_path, library, settings, std):
    preprocessing = make_backbone(folder(tmp_path, **settings)).preprocessing
    assert (preprocessing.mean, preprocessing.std) == ((0.5,) * 3, (std,) * 3)


def test_a_folder_that_does_not_normalize(tmp_path, library):
    preprocessing = make_backbone(folder(tmp_path, do_normalize=False)).preprocessing
    assert (preprocessing.mean, preprocessing.std) == ((0, 0, 0), (1, 1, 1))


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"image_mean": None}, DataError, "three values each of image_mean and image_std"),
        ({"image_std": [0.5]}, DataError, "three values each of image_mean and image_std"),
        ({"resample": 9}, DataError, r"resample must be one of \[0, 1, 2, 3, 4, 5\], not 9"),
        ({"do_rescale": False}, DataError, "must scale pixels to 0 to 1"),
        ({"rescale_factor": 0.0078125}, DataError, "must scale pixels to 0 to 1"),
        ({"rescale_offset": True}, DataError, "its rescale_offset moves them by -1"),
        ({"do_flip_channel_order": True}, DataError, "wants blue before green and red.* timm"),
        ({"image_processor_type": "MobileViTImageProcessor"}, DataError, "wants blue before green and red"),
        ({"feature_extractor_type": "MobileViTFeatureExtractor"}, DataError, "wants blue before green and red"),
        ({"size": {"longest_edge": 8}}, InputError, r"must name shortest_edge or height, not \['longest_edge'\]"),
    ],
)
def test_preprocessing_that_is_not_understood_is_refused(tmp_path, library, settings, error, match):
    with pytest.raises(error, match=match):
        make_backbone(folder(tmp_path, **settings))


@pytest.fixture
def timm(monkeypatch):
    """Put a stand-in where `import timm` looks."""

    def create_model(name, *, pretrained, num_classes):
        assert num_classes == 0
        if pretrained:
            raise RuntimeError("no pretrained weights exist")
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())

    settings = {"input_size": (3, 16, 16), "crop_pct": 0.875, "mean": (0.5,) * 3, "std": (0.25,) * 3}
    fake = SimpleNamespace(
        is_model=lambda name: name == "tiny",
        create_model=create_model,
        data=SimpleNamespace(resolve_model_data_config=lambda model: settings | {"interpolation": "bicubic"}),
    )
    monkeypatch.setitem(sys.modules, "timm", fake)


def test_timm_gives_a_network_and_its_preprocessing(timm, tmp_path):
    save_file({}, tmp_path / "w.safetensors")
    backbone = make_backbone("timm:tiny", weights=tmp_path / "w.safetensors")
    assert backbone.preprocessing == Preprocessing(
        size=16, resize=18, mean=(0.5,) * 3, std=(0.25,) * 3, interpolation="bicubic"
    )
    assert (backbone.spec.feature_dim, backbone.spec.source) == (3, "w.safetensors")
    assert torch.equal(features(rebuilt(backbone)), features(backbone))
    with pytest.raises(DataError, match="could not load the weights of 'tiny': no pretrained weights exist"):
        make_backbone("timm:tiny")
    with pytest.raises(InputError, match="timm has no model named 'huge'"):
        make_backbone("timm:huge")
