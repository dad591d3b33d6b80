"""Model folders that ask for more than they hold: compared with their files before anything large is read or built."""

import contextlib
import json
import os
import shutil
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save

from model_makers import random_model
from nearbit.errors import BundleError
from nearbit.files.writing import json_digest, sha256_of
from nearbit.model.bundle import load_model
from nearbit.model.manifest import opened_whole, read_manifest

HUGE = 2**40


@pytest.fixture
def folder(tmp_path):
    random_model().save(tmp_path / "a.model")
    return tmp_path / "a.model"


def rewrite(folder, change):
    path = folder / "bundle.json"
    description = json.loads(path.read_text())
    del description["digest"]
    change(description)
    path.write_text(json.dumps(description | {"digest": json_digest(description)}))


def tensors_file(path, header, size=0):
    """Write a safetensors file with this header and, as a hole, so many bytes of values."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    os.truncate(path, path.stat().st_size + size)


CONFIGS = {
    "layers": ({"model_type": "vit", "num_hidden_layers": 10**9}, "num_hidden_layers to 1000000000: no network"),
    "layers below the limit": ({"num_hidden_layers": 10**6}, r"asks for 1000000 layers \(num_hidden_layers"),
    "a list of depths": ({"depths": [1000] * 50}, r"asks for \d+ layers \(depths"),
    "inside": ({"vision_config": {"num_layers": 10**5}}, "asks for 100000 layers"),
    "labels": ({"num_labels": 10**7}, "num_labels to 10000000"),
    "below 0": ({"hidden_size": -(10**30)}, "hidden_size to -1000000000000000000: no network"),
}


@pytest.mark.parametrize(("config", "reason"), CONFIGS.values(), ids=CONFIGS)
def test_a_configuration_is_compared_with_the_weights_before_its_library_is_loaded(folder, monkeypatch, config, reason):
    monkeypatch.setitem(sys.modules, "transformers", None)
    rewrite(folder, lambda description: description["backbone"].update(name="hf:x", config=config))
    with pytest.raises(BundleError, match=reason):
        load_model(folder)


HEADERS = {
    "longer than the file": ((2**40).to_bytes(8, "little") + b"{}", "header would have 1099511627776 bytes"),
    "longer than any": ((2**25).to_bytes(8, "little") + b" " * (2**25 + 8), "header would have 33554432 bytes"),
    "empty": (b"", "header would have 0 bytes"),
    "deep": (None, "nested too deeply"),
    "not JSON": ((2).to_bytes(8, "little") + b"{{", "is not JSON"),
    "a list": ((2).to_bytes(8, "little") + b"[]", "is not a safetensors file, or a damaged one"),
    "a shape of texts": ((17).to_bytes(8, "little") + b'{"a":{"shape":8}}', "is not a safetensors file, or a damaged"),
    "a number of many digits": (None, "header of .* holds JSON that cannot be used"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_hostile_header_of_weights_is_refused(folder, case):
    content, reason = HEADERS[case]
    path = folder / "weights.safetensors"
    if content is None:
        tensors_file(path, b"[" * 10**5 if case == "deep" else b'{"a":{"shape":[' + b"9" * 10**4 + b"]}}")
    else:
        path.write_bytes(content)
    rewrite(folder, lambda description: description["files"].update({path.name: sha256_of(path)}))
    with pytest.raises(BundleError, match=reason):
        load_model(folder)


def test_weights_are_compared_by_shape_before_a_terabyte_of_them_is_read(folder):
    path = folder / "weights.safetensors"
    try:
        tensors_file(path, {"x": {"dtype": "F32", "shape": [HUGE // 4], "data_offsets": [0, HUGE]}}, HUGE)
    except OSError:
        pytest.skip("this file system has no files with holes of that size")
    with pytest.raises(BundleError, match=r"head\.feature_mean is missing, expected"):
        load_model(folder)


def test_an_array_is_compared_with_the_model_before_it_is_read(folder):
    path = folder / "centers.npy"
    try:
        with open(path, "wb") as handle:
            shape = {"descr": "|i1", "fortran_order": False, "shape": (HUGE // 12, 12)}
            np.lib.format.write_array_header_1_0(handle, shape)
        os.truncate(path, path.stat().st_size + HUGE // 12 * 12)
    except OSError:
        pytest.skip("this file system has no files with holes of that size")
    with pytest.raises(BundleError, match=r"centers\.npy must be int8 \(3, 12\), not int8 \(\d+, 12\)"):
        load_model(folder)


def test_a_description_larger_than_any_is_refused(folder):
    os.truncate(folder / "bundle.json", 2**36)
    with pytest.raises(BundleError, match="cannot be read: no description has more than 32 MiB"):
        load_model(folder)


@pytest.mark.parametrize("text", ["[" * 10**5, '{"a": "\\ud800"}', '{"a": NaN}', '{"n": ' + "9" * 5000 + "}", "\xff"])
def test_a_description_that_is_no_plain_json_is_refused(folder, text):
    (folder / "bundle.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(BundleError, match=r"bundle\.json cannot be read: it"):
        load_model(folder)


PREPROCESSINGS = {
    "mean": {"mean": [1e300] * 3},
    "deviation": {"std": [1e999, 1, 1]},
    "a truth value": {"size": True, "resize": True},
}


@pytest.mark.parametrize("case", PREPROCESSINGS)
def test_preprocessing_that_is_no_number_is_refused(folder, case):
    rewrite(folder, lambda description: description["preprocessing"].update(PREPROCESSINGS[case]))
    with pytest.raises(BundleError, match=r"all finite|Infinity is not a number|whole numbers up to"):
        load_model(folder)


@pytest.mark.parametrize("classes", ["abc", {"a": 1, "b": 2, "c": 3}, ["a", "b", None], 3])
def test_classes_that_are_no_list_of_texts_are_refused(folder, classes):
    rewrite(folder, lambda description: description.update(classes=classes))
    with pytest.raises(BundleError, match="must name the classes in a list of texts"):
        load_model(folder)


def test_a_split_of_another_model_is_refused(folder):
    rewrite(folder, lambda description: description.update(split_hash="0" * 64))
    with pytest.raises(BundleError, match="the split is not the one that bundle"):
        load_model(folder)


def test_a_link_is_followed_to_what_has_the_hash_and_to_nothing_else(folder, tmp_path):
    for name in ("weights.safetensors", "bundle.json", "centers.npy"):
        shutil.move(folder / name, tmp_path / name)
        try:
            (folder / name).symlink_to(tmp_path / name)
        except OSError:
            pytest.skip("no links here")
    assert load_model(folder).model_id == random_model().model_id
    (tmp_path / "secret").write_bytes(save({"a": torch.zeros(1)}))
    (folder / "weights.safetensors").unlink()
    (folder / "weights.safetensors").symlink_to(tmp_path / "secret")
    with pytest.raises(BundleError, match="altered or damaged: its SHA-256"):
        load_model(folder)


def test_a_model_that_is_replaced_while_it_is_read_is_opened_anew(folder):
    old, new = random_model(), random_model(seed=1)
    seen = []

    def read():
        description = read_manifest(folder, "nearbit-model")
        if not seen:
            new.save(folder)
        seen.append(description["model_id"])
        if sha256_of(folder / "weights.safetensors") != description["files"]["weights.safetensors"]:
            raise BundleError("a mixture")
        return description["model_id"]

    assert opened_whole(folder, read) == new.model_id
    assert seen == [old.model_id, new.model_id]


def test_a_model_whose_writer_died_between_two_steps_is_found(folder):
    moved = folder.with_name(f".{folder.name}.00000000-1-00000000.old")
    folder.rename(moved)
    assert load_model(folder).model_id == random_model().model_id
    assert not moved.exists()


ODD = (None, True, "x", -1, 10**30, 1.5, [], {}, [["a"]])


def places_in(value, above=()):
    """Yield the place of each value, two levels down."""
    for name, inner in value.items():
        yield (*above, name)
        if isinstance(inner, dict) and not above:
            yield from places_in(inner, (name,))


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_a_description_with_any_value_of_another_kind_is_one_error_or_a_model(folder, odd):
    whole = json.loads((folder / "bundle.json").read_text())
    for place in places_in(whole):
        if place[0] in ("record", "libraries", "digest"):
            continue
        changed = json.loads(json.dumps(whole))
        del changed["digest"]
        inner = changed
        for name in place[:-1]:
            inner = inner[name]
        inner[place[-1]] = odd
        (folder / "bundle.json").write_text(json.dumps(changed | {"digest": json_digest(changed)}))
        with contextlib.suppress(BundleError):
            load_model(folder)
