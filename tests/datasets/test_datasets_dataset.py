"""The Dataset type, and the two data sets that come with the package."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nearbit.datasets import ArrayImages, Dataset, Problem, content_digest, load_dataset, write_problems
from nearbit.datasets.formats.outlines import FAMILIES
from nearbit.datasets.formats.shapes import draw_image, load_shapes
from nearbit.datasets.images import array_digests
from nearbit.errors import DataError, InputError


def tiny(**changes: Any) -> Dataset:
    pixels = np.arange(3 * 4 * 4, dtype=np.uint8).reshape(3, 4, 4)
    fields: dict[str, Any] = {
        "name": "tiny",
        "source": ArrayImages(pixels),
        "keys": ("a", "b", "c"),
        "labels": np.array([[1, 0], [0, 1], [1, 1]], np.bool_),
        "classes": ("x", "y"),
        "digests": array_digests(pixels),
    }
    return Dataset(**(fields | changes))


def test_what_a_dataset_says_of_itself() -> None:
    dataset = tiny(problems=(Problem("z.png", "empty"),))
    assert (len(dataset), dataset.n_classes, dataset.root) == (3, 2, None)
    assert not dataset.is_single_label
    assert tiny(
        labels=np.eye(3, 2, dtype=np.bool_) | np.array([[False], [False], [True]]) & [True, False]
    ).is_single_label
    assert dataset.label_names(2) == ("x", "y")
    assert dataset.summary() == {
        "name": "tiny",
        "images": 3,
        "classes": 2,
        "images_per_class": {"min": 2, "median": 2.0, "max": 2},
        "labels_per_image": 1.333,
        "skipped": 1,
    }
    json.dumps(dataset.summary())


def test_the_fingerprint_follows_the_content_alone() -> None:
    first = tiny().fingerprint
    assert first == tiny(name="other", problems=(Problem("a", "b"),), mirror=False).fingerprint
    assert first != tiny(keys=("a", "b", "d")).fingerprint
    assert first != tiny(classes=("x", "z")).fingerprint
    assert first != tiny(digests=("0" * 64,) * 3).fingerprint
    assert first != tiny(labels=np.ones((3, 2), np.bool_)).fingerprint


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"labels": np.zeros((3, 2))}, r"labels must be bool of the shape \(keys, classes\) = \(3, 2\), not float64"),
        ({"labels": np.zeros((2, 3), np.bool_)}, r"not bool \(2, 3\)"),
        ({"keys": ("a", "b", "a")}, "each key must be unique, but 'a' occurs twice"),
        ({"classes": ("x", "x")}, "each class must be unique, but 'x' occurs twice"),
        ({"digests": ("0",)}, "digests must have 3 entries, not 1"),
        ({"given_parts": ("train",)}, "given_parts must have 3 entries, not 1"),
        ({"given_parts": ("train", "", "test")}, "given_parts must be of .*not 'test'"),
        ({"parents": ("p",)}, "parents must have 2 entries, not 1"),
        ({"source": ArrayImages(np.zeros((2, 4, 4), np.uint8))}, "source must have 3 entries, not 2"),
    ],
)
def test_fields_that_do_not_fit_are_refused(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(DataError, match=match):
        tiny(**changes)


def test_an_empty_dataset_has_a_summary() -> None:
    empty = tiny(
        source=ArrayImages(np.zeros((0, 4, 4), np.uint8)), keys=(), labels=np.zeros((0, 2), np.bool_), digests=()
    )
    assert empty.summary()["images_per_class"] == {"min": 0, "median": 0.0, "max": 0}
    assert not empty.is_single_label


def test_problems_are_written_as_json_lines(tmp_path: Path) -> None:
    write_problems(tmp_path / "errors.jsonl", [Problem("a\nb.png", "empty"), Problem("é", "cut")])
    lines = (tmp_path / "errors.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"path": "a\nb.png", "reason": "empty"},
        {"path": "é", "reason": "cut"},
    ]


def test_digits() -> None:
    digits = load_dataset("digits")
    assert (len(digits), digits.n_classes, digits.mirror) == (1797, 10, False)
    assert digits.is_single_label
    assert digits.keys[1] == "digits/0001"
    assert digits.label_names(0) == ("0",)
    assert digits.labels.sum(axis=0).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    pixels = np.asarray(digits.source.read(0))
    assert pixels.shape == (8, 8, 3)
    assert pixels[0, :, 0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]
    assert digits.digests[5] == content_digest(np.asarray(digits.source.read(5))[..., 0])
    with pytest.raises(InputError, match="leave it out for digits"):
        load_dataset("digits", label_level="both")


def test_shapes_are_labelled_by_what_is_drawn() -> None:
    shapes = load_dataset("shapes")
    assert (len(shapes), shapes.n_classes, shapes.mirror) == (2400, 12, True)
    counts = shapes.labels.sum(axis=1)
    assert (counts.min(), counts.max()) == (1, 3)
    assert shapes.labels.sum(axis=0).min() > 300
    assert shapes.parents == tuple(FAMILIES[name] for name in shapes.classes)
    assert sorted(set(shapes.parents)) == ["line", "polygon", "round", "star"]
    assert all(shapes.parents.count(family) == 3 for family in shapes.parents)
    assert len(set(shapes.digests)) == 2400
    assert shapes.source.read(7).size == (32, 32)
    assert load_shapes() is shapes


def test_shapes_are_drawn_the_same_in_another_process() -> None:
    code = "from nearbit.datasets import load_dataset; print(load_dataset('shapes').fingerprint)"
    came = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert came.stdout.strip() == load_dataset("shapes").fingerprint


@pytest.mark.parametrize("kind", FAMILIES)
def test_each_kind_of_shape_is_seen_on_its_ground(kind: str) -> None:
    for seed in range(5):
        pixels = draw_image([kind], np.random.default_rng(seed)).astype(int)
        edge = np.median(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]), axis=0)
        strong = (np.abs(pixels - edge).max(axis=2) > 60).mean()
        assert 0.04 < strong < 0.75, f"{kind} {seed}: {strong}"


def test_importing_datasets_is_light() -> None:
    code = "import sys, nearbit.datasets; print(*sys.modules)"
    came = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numba", "scipy", "tarfile", "urllib.request"} & set(came.stdout.split())


def test_the_digits_file_is_the_one_of_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    bunch = sklearn.load_digits()
    pixels = np.floor(bunch.images * 255 / 16 + 0.5).astype(np.uint8)
    digits = load_dataset("digits")
    assert isinstance(digits.source, ArrayImages)
    np.testing.assert_array_equal(digits.source.pixels, pixels)
    np.testing.assert_array_equal(digits.labels.argmax(axis=1), bunch.target)
