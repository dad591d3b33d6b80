"""Model folders: what is saved comes back, and what was altered, damaged or made to harm is refused."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from model_makers import random_model
from nearbit.errors import BundleError, MissingExtraError
from nearbit.files.writing import json_digest, sha256_of
from nearbit.model.bundle import load_model
from tiny_data import tiny_dataset, tiny_pixels, tiny_split

GOLDEN_KEYS = [
    "backbone", "classes", "digest", "files", "format_version", "head", "kind", "libraries", "method",
    "method_options", "model_id", "n_bits", "preprocessing", "record", "split_hash",
]  # fmt: skip
GOLDEN_FILES = [
    "assignment.npy", "bundle.json", "centers.npy", "codebook.npy", "split.json", "tie_break.npy",
    "weights.safetensors",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    random_model().save(tmp_path / "a.model")
    return tmp_path / "a.model"


def rewrite(folder, change):
    """Change the description as an attacker would, who knows to set the digest right."""
    path = folder / "bundle.json"
    description = json.loads(path.read_text())
    del description["digest"]
    change(description)
    path.write_text(json.dumps(description | {"digest": json_digest(description)}))


def replace_file(folder, name, content):
    """Replace a file and its hash."""
    (folder / name).write_bytes(content)
    rewrite(folder, lambda description: description["files"].update({name: sha256_of(folder / name)}))


def npy(array):
    stream = BytesIO()
    np.save(stream, array, allow_pickle=array.dtype.hasobject)
    return stream.getvalue()


def test_what_is_saved_comes_back(folder):
    model, back = random_model(), load_model(folder)
    assert back.model_id == model.model_id
    assert (back.n_bits, back.classes, back.method) == (12, ("a", "b", "ü"), "crh")
    assert (back.method_options, back.record, back.head) == (model.method_options, model.record, model.head)
    assert back.preprocessing == model.preprocessing
    assert back.network.backbone.spec == model.network.backbone.spec
    for name, array in model.centers.arrays().items():
        assert np.array_equal(back.centers.arrays()[name], array)
    assert back.split.hash == model.split.hash
    images = list(tiny_pixels(tiny_dataset().labels))
    assert np.array_equal(back.outputs(images), model.outputs(images))


def test_a_similarity_comes_back_and_one_that_does_not_fit_is_refused(folder):
    similarity = np.array([[1, 0.5, -1], [0.5, 1, 0], [-1, 0, 1]])
    replace(random_model(), similarity=similarity).save(folder)
    assert np.array_equal(load_model(folder).similarity, similarity)
    for wrong in (similarity[:2], similarity.astype(np.float32), np.full((3, 3), np.nan)):
        replace_file(folder, "similarity.npy", npy(wrong))
        with pytest.raises(BundleError, match=r"similarity\.npy must be finite float64 \(3, 3\), not float"):
            load_model(folder)


def test_a_model_without_split_or_codebook_comes_back(tmp_path):
    model = random_model(split=False)
    del model.centers.__dict__["codebook"], model.centers.__dict__["assignment"]
    model.save(tmp_path / "a.model")
    back = load_model(tmp_path / "a.model")
    assert back.split is None
    assert back.centers.codebook is None
    assert sorted(file.name for file in (tmp_path / "a.model").iterdir()) == [
        "bundle.json", "centers.npy", "tie_break.npy", "weights.safetensors",
    ]  # fmt: skip


def test_the_folder_and_its_description_have_these_parts(folder):
    assert sorted(file.name for file in folder.iterdir()) == GOLDEN_FILES
    description = json.loads((folder / "bundle.json").read_text())
    assert sorted(description) == GOLDEN_KEYS
    assert (description["kind"], description["format_version"]) == ("nearbit-model", 1)
    assert sorted(description["files"]) == [name for name in GOLDEN_FILES if name != "bundle.json"]
    assert sorted(description["backbone"]) == ["config", "feature_dim", "name", "pretrained", "source"]
    assert sorted(description["preprocessing"]) == ["interpolation", "mean", "resize", "size", "std"]
    assert sorted(description["libraries"]) == ["nearbit", "numpy", "pillow", "torch"]
    assert list(folder.parent.iterdir()) == [folder]


def test_the_model_id_depends_on_all_that_decides_the_codes():
    base = random_model()
    others = [random_model(seed=1), random_model(n_bits=16), random_model(image_size=9)]
    nudged = random_model()
    with torch.no_grad():
        nudged.network.head.feature_mean[0] += 1
    assert len({model.model_id for model in (base, nudged, *others)}) == 5
    assert random_model(split=False).model_id == base.model_id


def test_two_saves_of_one_model_are_the_same_bytes(tmp_path, folder):
    random_model().save(tmp_path / "b.model")
    for name in GOLDEN_FILES:
        assert (tmp_path / "b.model" / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize("name", GOLDEN_FILES)
def test_a_flipped_byte_anywhere_is_found(folder, name):
    path = folder / name
    content = path.read_bytes()
    step = max(1, len(content) // 40)
    for at in {*range(0, len(content), step), len(content) - 2}:
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(BundleError, match=r"altered or damaged|cannot be read|describe|format"):
            load_model(folder)


@pytest.mark.parametrize("name", GOLDEN_FILES)
def test_a_missing_or_cut_file_is_found(folder, name):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-3])
    with pytest.raises(BundleError, match=r"altered or damaged|cannot be read"):
        load_model(folder)
    (folder / name).unlink()
    with pytest.raises(BundleError, match=r"is missing|there is no model"):
        load_model(folder)


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(BundleError, match=r"there is no model at .*nothing"):
        load_model(tmp_path / "nothing")
    (tmp_path / "bundle.json").write_text("[]")
    with pytest.raises(BundleError, match="does not describe a nearbit model"):
        load_model(tmp_path)
    (tmp_path / "bundle.json").write_text('{"kind": "nearbit-model", "format_version": 1}')
    with pytest.raises(BundleError, match="altered or damaged"):
        load_model(tmp_path)
    (tmp_path / "bundle.json").write_text("[" * 200_000)
    with pytest.raises(BundleError, match="cannot be read"):
        load_model(tmp_path)


@pytest.mark.parametrize("version", [2, 0, "1", None])
def test_another_format_version_is_refused(folder, version):
    rewrite(folder, lambda description: description.update(format_version=version))
    with pytest.raises(BundleError, match=r"has the model format .*update nearbit"):
        load_model(folder)


HOSTILE = {
    "feature_dim": lambda d: d["backbone"].update(feature_dim=10**12),
    "hidden": lambda d: d["head"].update(kind="hidden", hidden=10**12),
    "n_bits huge": lambda d: d.update(n_bits=10**12),
    "n_bits of another model": lambda d: d.update(n_bits=16),
    "n_bits a text": lambda d: d.update(n_bits="12"),
    "n_bits infinite": lambda d: d.update(n_bits=float("inf")),
    "backbone unknown": lambda d: d["backbone"].update(name="os.system"),
    "backbone a number": lambda d: d["backbone"].update(name=5),
    "backbone another": lambda d: d["backbone"].update(name="resnet18"),
    "backbone field": lambda d: d["backbone"].update(path="/etc/passwd"),
    "backbone missing": lambda d: d.pop("backbone"),
    "config code": lambda d: d["backbone"].update(name="hf:x", config={"auto_map": {"AutoModel": "evil.Model"}}),
    "config a list": lambda d: d["backbone"].update(config=[1]),
    "head unknown": lambda d: d["head"].update(kind="lambda"),
    "head a text": lambda d: d.update(head="linear"),
    "head field": lambda d: d["head"].update(code="x"),
    "dropout": lambda d: d["head"].update(kind="hidden", dropout=7),
    "size 0": lambda d: d["preprocessing"].update(size=0),
    "size huge": lambda d: d["preprocessing"].update(size=10**9, resize=10**9),
    "size a fraction": lambda d: d["preprocessing"].update(size=7.5),
    "size another": lambda d: d["preprocessing"].update(size=9, resize=9),
    "interpolation": lambda d: d["preprocessing"].update(interpolation="exec"),
    "mean": lambda d: d["preprocessing"].update(mean=[1]),
    "mean huge": lambda d: d["preprocessing"].update(mean=[10**400] * 3),
    "std": lambda d: d["preprocessing"].update(std=[0, 0, 0]),
    "classes fewer": lambda d: d.update(classes=["a", "b"]),
    "classes a number": lambda d: d.update(classes=3),
    "record": lambda d: d.update(record=5),
    "options": lambda d: d.update(method_options="x"),
    "model id": lambda d: d.update(model_id="0" * 64),
    "files a list": lambda d: d.update(files=["weights.safetensors"]),
    "files empty": lambda d: d.update(files={}),
    "file outside": lambda d: d["files"].update({"../../etc/passwd": "0"}),
    "file absolute": lambda d: d["files"].update({"/etc/passwd": "0"}),
    "file hash": lambda d: d["files"].update({"centers.npy": None}),
    "no tie break": lambda d: d["files"].pop("tie_break.npy"),
    "no assignment": lambda d: d["files"].pop("assignment.npy"),
}


REASONS = {
    "feature_dim": r"head\.feature_mean has the shape \(\d+,\), expected \(1000000000000,\)",
    "hidden": r"expected \(1000000000000, \d+\)",
    "n_bits huge": r"expected \(1000000000000, \d+\)",
    "n_bits of another model": r"expected \(16, \d+\)",
    "backbone unknown": r"unknown backbone 'os\.system'",
    "config code": "'auto_map', which can name code to run",
    "size huge": "image sizes must be whole numbers up to 8192, not 1000000000",
    "size a fraction": "image sizes must be whole numbers up to 8192, not 7.5",
    "file outside": "which is no file of a model that this nearbit knows: update",
    "file absolute": "which is no file of a model",
    "model id": "the weights are not those that bundle.json names",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_description_is_refused(folder, case):
    rewrite(folder, HOSTILE[case])
    with pytest.raises(BundleError, match=REASONS.get(case, r"a\.model")):
        load_model(folder)


ARRAYS = {
    "another shape": ("centers.npy", npy(np.ones((3, 16), np.int8))),
    "more classes": ("centers.npy", npy(np.ones((4, 12), np.int8))),
    "another type": ("centers.npy", npy(np.ones((3, 12)))),
    "a zero": ("centers.npy", npy(np.zeros((3, 12), np.int8))),
    "an object": ("centers.npy", npy(np.array([{}], object))),
    "text": ("centers.npy", b"<html>"),
    "tie break": ("tie_break.npy", npy(np.ones(3, np.int8))),
    "codebook shape": ("codebook.npy", npy(np.ones(3, np.int8))),
    "codebook bits": ("codebook.npy", npy(np.ones((2, 6, 5), np.int8))),
    "assignment shape": ("assignment.npy", npy(np.zeros((1, 3), np.int64))),
    "assignment out of range": ("assignment.npy", npy(np.full((4, 3), 6, np.int64))),
    "assignment below 0": ("assignment.npy", npy(np.full((4, 3), -1, np.int64))),
    "weights": ("weights.safetensors", b"not tensors"),
    "weights header": ("weights.safetensors", (2**62).to_bytes(8, "little") + b"{}"),
    "split": ("split.json", b'{"format": "nearbit split", "version": 1}'),
}


@pytest.mark.parametrize(("name", "content"), ARRAYS.values(), ids=ARRAYS)
def test_a_hostile_file_is_refused(folder, name, content):
    replace_file(folder, name, content)
    with pytest.raises(BundleError, match=r"a\.model"):
        load_model(folder)


def test_an_array_that_says_it_is_huge_is_refused(folder):
    stream = BytesIO()
    header = {"descr": "|i1", "fortran_order": False, "shape": (10**15, 12)}
    np.lib.format.write_array_header_1_0(stream, header)
    replace_file(folder, "centers.npy", stream.getvalue() + b"\1" * 36)
    with pytest.raises(BundleError, match=r"has not the values that it says: int8 \(1000000000000000, 12\)"):
        load_model(folder)


WEIGHTS = {
    "NaN": (lambda weights: weights["head.layers.0.weight"].fill_(float("nan")), "not finite"),
    "infinite": (lambda weights: weights["backbone.module.stages.0.1.running_var"].fill_(float("inf")), "not finite"),
    "missing": (lambda weights: weights.pop("head.layers.0.bias"), "is missing"),
    "missing below": (lambda weights: weights.pop("backbone.module.stages.0.0.weight"), "is missing, expected"),
    "unknown": (lambda weights: weights.update(more=torch.zeros(1)), "more has no place in the network"),
    "shape": (lambda weights: weights.update({"head.layers.0.bias": torch.zeros(13)}), r"has the shape \(13,\)"),
    "other values": (lambda weights: weights.update({"head.layers.0.bias": torch.ones(12)}), "weights are not those"),
}


@pytest.mark.parametrize(("change", "reason"), WEIGHTS.values(), ids=WEIGHTS)
def test_weights_that_do_not_belong_are_refused(folder, change, reason):
    weights = load_file(folder / "weights.safetensors")
    change(weights)
    save_file(weights, folder / "weights.safetensors")
    replace_file(folder, "weights.safetensors", (folder / "weights.safetensors").read_bytes())
    with pytest.raises(BundleError, match=reason):
        load_model(folder)


def test_a_pickle_in_the_place_of_a_file_is_not_run(folder, tmp_path):
    import pickle

    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "owned"),))

    for name in ("centers.npy", "weights.safetensors", "split.json"):
        replace_file(folder, name, pickle.dumps(Evil()))
        with pytest.raises(BundleError, match=r"a\.model"):
            load_model(folder)
    assert not (tmp_path / "owned").exists()


def test_a_backbone_whose_library_is_missing_names_the_extra(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    rewrite(folder, lambda description: description["backbone"].update(name="timm:resnet18"))
    with pytest.raises(MissingExtraError, match=r"timm, which is not installed: pip install "):
        load_model(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(folder):
    (folder / "weights.safetensors").unlink()
    os.mkfifo(folder / "weights.safetensors")
    with pytest.raises(BundleError, match="is missing"):
        load_model(folder)


def test_saving_over_what_is_no_model_is_refused(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("mine")
    for name in ("photos", "notes.txt"):
        with pytest.raises(BundleError, match="stands and is not a model folder: choose another name"):
            random_model().save(tmp_path / name)
    assert (tmp_path / "photos" / "a.jpg").read_bytes() == b"x"
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_saving_over_a_model_replaces_it_whole(folder):
    (folder / "left.txt").write_text("from before")
    other = random_model(seed=1, split=False)
    other.save(folder)
    assert load_model(folder).model_id == other.model_id
    assert not (folder / "left.txt").exists()
    assert not (folder / "split.json").exists()
    assert list(folder.parent.iterdir()) == [folder]


def test_a_save_that_fails_leaves_the_model_that_stood_there(folder, monkeypatch):
    def fail(path, value):
        raise OSError("disk full")

    monkeypatch.setattr("nearbit.model.bundle.write_json", fail)
    with pytest.raises(OSError, match="disk full"):
        random_model(seed=1).save(folder)
    assert load_model(folder).model_id == random_model().model_id
    assert list(folder.parent.iterdir()) == [folder]


def test_what_the_library_of_weights_says_of_a_full_disk_names_the_model(folder, monkeypatch):
    def full(tensors, path):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("nearbit.model.bundle.save_file", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*a\.model'"):
        random_model(seed=1).save(folder)
    assert load_model(folder).model_id == random_model().model_id
    assert list(folder.parent.iterdir()) == [folder]


def test_a_model_opens_in_another_process_and_encodes_the_same(folder):
    code = (
        "import sys; sys.path[:0] = ['tests']; import nearbit, tiny_data\n"
        f"model = nearbit.load_model({str(folder)!r})\n"
        "print(model.model_id, model.encode(list(tiny_data.tiny_pixels(tiny_data.tiny_labels()))).tobytes().hex())"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    model = random_model()
    codes = model.encode(list(tiny_pixels(tiny_dataset().labels)))
    assert done.stdout.split() == [model.model_id, codes.tobytes().hex()]


def test_the_split_of_a_model_fits_its_data(folder):
    split = load_model(folder).split
    split.check(tiny_dataset())
    assert split.hash == tiny_split(tiny_dataset()).hash
