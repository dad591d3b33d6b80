"""Data sets in the layout in which their owners publish them."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from nearbit.datasets import Dataset, load_dataset, make_split
from nearbit.datasets.download.archives import MIRFLICKR_LABELS
from nearbit.datasets.formats.published.cars import maker_of
from nearbit.datasets.formats.published.mat import read_mat
from nearbit.errors import DataError, InputError
from published_makers import CAR_NAMES, annotation, cars, coco, flowers, mirflickr, pets, structs


def load(root: Path, **options: Any) -> Dataset:
    return load_dataset(root, cache=root.parent / "cache", **options)


def names_of(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    return {
        key: tuple(np.array(dataset.classes)[row].tolist())
        for key, row in zip(dataset.keys, dataset.labels, strict=True)
    }


@pytest.mark.parametrize("kit", ["devkit", "car_devkit", "car_devkit/devkit"])
def test_cars_with_their_devkit(tmp_path: Path, kit: str) -> None:
    dataset = load(cars(tmp_path / "cars", kit=kit))
    assert dataset.name == "cars196"
    assert dataset.classes == CAR_NAMES
    assert dataset.parents == ("AM General", "Acura", "Acura", "smart")
    assert dataset.keys[:2] == ("cars_train/00001.jpg", "cars_train/00002.jpg")
    assert dataset.given_parts == ("train",) * 4 + ("query",) * 4
    assert names_of(dataset)["cars_train/00001.jpg"] == (CAR_NAMES[0],)
    assert names_of(dataset)["cars_test/00001.jpg"] == (CAR_NAMES[3],)
    assert dataset.notes == (
        "train has 4 images here, the official set 8,144",
        "query has 4 images here, the official set 8,041",
    )
    split = make_split(dataset, protocol="given")
    assert (len(split.query), len(split.train) + len(split.validation)) == (4, 4)
    with pytest.raises(DataError, match=r"cars196 is for lists of 196 classes: 8,144 train, 8,041 query.* train has 4"):
        make_split(dataset, protocol="cars196")


def test_cars_that_lie_one_folder_deeper(tmp_path: Path) -> None:
    root = cars(tmp_path / "stanford_cars")
    (root / "cars_test").rename(root / "inner")
    (root / "cars_test").mkdir()
    (root / "inner").rename(root / "cars_test" / "cars_test")
    (root / "cars_test_annos_withlabels.mat").rename(root / "devkit" / "cars_test_annos_withlabels.mat")
    dataset = load(tmp_path)
    assert dataset.keys[4] == "cars_test/cars_test/00001.jpg"
    (root / "devkit" / "cars_test_annos_withlabels.mat").unlink()
    with pytest.raises(DataError, match=r"expected cars_test_annos_withlabels\.mat in it or in devkit.*has no labels"):
        load(tmp_path)


def test_a_missing_car_is_listed(tmp_path: Path) -> None:
    root = cars(tmp_path / "cars")
    (root / "cars_test" / "00003.jpg").unlink()
    dataset = load(root)
    assert [(one.path, one.reason) for one in dataset.problems] == [("cars_test/00003.jpg", "no such file")]
    assert dataset.notes[1] == "query has 3 images here, the official set 8,041"
    with pytest.raises(InputError, match=r"images='.*' is for labels files and lists; leave it out"):
        load(root, images=root)


@pytest.mark.parametrize(
    ("table", "content", "message"),
    [
        (
            "cars_train_annos",
            {"annotations": structs([annotation(5, "00001.jpg")])},
            r"class \[5\]; .* 1 to 4",
        ),
        (
            "cars_train_annos",
            {"annotations": structs([annotation(0, "00001.jpg")])},
            r"class \[0\]; .* 1 to 4",
        ),
        (
            "cars_train_annos",
            {"annotations": structs([{"class": 1, "fname": 7}])},
            r"1 has the image \? and",
        ),
        ("cars_train_annos", {"annotations": structs([{"class": 1}])}, r"with the fields fname and class"),
        ("cars_train_annos", {"annotations": structs([{"class": "1", "fname": "a.jpg"}])}, r"the class 1; expected"),
        ("cars_train_annos", {"other": np.arange(3)}, r"expected the variable 'annotations' in it"),
        ("cars_meta", {"class_names": np.arange(4)}, r"expected the names of the classes in class_names"),
        ("cars_meta", {"class_names": np.array(["a", "a"], dtype=object)}, r"two classes have the same name"),
    ],
)
def test_tables_of_another_form_are_named(tmp_path: Path, table: str, content: dict[str, Any], message: str) -> None:
    root = cars(tmp_path / "cars")
    savemat(root / "devkit" / f"{table}.mat", content)
    with pytest.raises(DataError, match=rf"{table}\.mat.*{message}"):
        load(root)


def test_a_path_of_a_table_that_leads_out_is_not_followed(tmp_path: Path) -> None:
    root = cars(tmp_path / "cars")
    rows = structs([annotation(1, "00001.jpg"), annotation(2, "../../secret.jpg")])
    savemat(root / "devkit" / "cars_train_annos.mat", {"annotations": rows})
    assert load(root).problems[0].reason.startswith("outside the folder of images")


def test_a_maker_is_what_a_name_begins_with() -> None:
    assert [maker_of(name) for name in ("Land Rover LR2 SUV 2012", "Aston Martin Virage Coupe 2012", "FIAT 500")] == [
        "Land Rover",
        "Aston Martin",
        "FIAT",
    ]


def test_mat_files_are_read_as_scipy_reads_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    content = {
        "doubles": rng.normal(size=(1, 5)),
        "matrix": rng.integers(0, 9, (3, 4)),
        "bytes": rng.integers(0, 255, (1, 3), dtype=np.uint8),
        "text": "wren é",
        "cells": np.array([["a", "", "three words here"]], dtype=object),
        "rows": structs([{"a": 1.5, "name": "x"}, {"a": 2.5, "name": "yy"}]),
        "nothing": np.empty((0, 0)),
    }
    for file, packed in ((tmp_path / "a.mat", False), (tmp_path / "b.mat", True)):
        savemat(file, content, do_compression=packed)
        for name in ("doubles", "matrix", "bytes", "nothing"):
            assert np.array_equal(read_mat(file, name), loadmat(file)[name].ravel(order="F"))
        assert read_mat(file, "text") == loadmat(file)["text"][0] == "wren é"
        assert read_mat(file, "cells") == ["a", "", "three words here"]
        rows: Any = read_mat(file, "rows")
        assert [(row["a"].tolist(), row["name"]) for row in rows] == [([1.5], "x"), ([2.5], "yy")]


def test_damaged_mat_files_are_errors(tmp_path: Path) -> None:
    file = cars(tmp_path / "cars") / "devkit" / "cars_train_annos.mat"
    plain = tmp_path / "cars" / "cars_test_annos_withlabels.mat"
    rng = np.random.default_rng(0)
    for source in (file, plain):
        whole = source.read_bytes()
        for _ in range(300):
            damaged = bytearray(whole)
            for place in rng.integers(0, len(whole), 3):
                damaged[place] = rng.integers(256)
            source.write_bytes(bytes(damaged[: int(rng.integers(1, len(whole) + 1))]))
            try:
                load(tmp_path / "cars")
            except DataError:
                continue
        source.write_bytes(whole)
    assert len(load(tmp_path / "cars")) == 8


def test_mat_files_are_read_within_bounds(tmp_path: Path) -> None:
    file = tmp_path / "a.mat"
    savemat(file, {"zeros": np.zeros(70_000_000, np.uint8)}, do_compression=True)
    assert file.stat().st_size < 100_000
    with pytest.raises(DataError, match=r"a\.mat: .*unpacks to more than 64,000,000 bytes"):
        read_mat(file, "zeros")
    file.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(4_000_000))
    with pytest.raises(DataError, match=r"has more than 4,000,000 bytes"):
        read_mat(file, "zeros")
    file.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(300))
    with pytest.raises(DataError, match=r"expected a MATLAB file of version 5, .* its header is another"):
        read_mat(file, "zeros")
    with pytest.raises(DataError, match=r"none\.mat: cannot be read"):
        read_mat(tmp_path / "none.mat", "zeros")


@pytest.mark.parametrize("year", [2014, 2017])
def test_coco_as_it_is_published(tmp_path: Path, year: int) -> None:
    dataset = load(coco(tmp_path / "coco", year))
    assert dataset.name == f"coco{year}"
    assert dataset.classes == ("person", "dog")
    assert dataset.parents == ("person", "animal")
    assert dataset.given_parts == ("train",) * 3 + ("query",) * 2
    assert all(key.startswith((f"train{year}/", f"val{year}/")) for key in dataset.keys)
    assert list(names_of(dataset).values()) == [("person", "dog"), ("dog",), ("person",), ("person",), ("dog",)]
    assert dataset.notes[0].startswith("train has 3 images here, the official set ")


def test_coco_of_both_years_or_of_one_part_is_no_such_folder(tmp_path: Path) -> None:
    root = coco(tmp_path / "coco", 2017)
    (root / "train2017" / "000000000025.jpg").unlink()
    assert load(root).problems[0].path == "train2017/000000000025.jpg"
    text = (root / "annotations" / "instances_val2017.json").read_text()
    (root / "annotations" / "instances_val2017.json").write_text(text.replace('"dog"', '"cat"'))
    with pytest.raises(DataError, match=r"the annotations of train2017 and val2017 name other categories"):
        load(root)
    with pytest.raises(DataError, match=r"of one year, came \[2014, 2017\]"):
        load(coco(root, 2014))


@pytest.mark.parametrize("lists", ["annotations", "annotations_v080", "mirflickr25k_annotations_v080"])
def test_mirflickr_as_it_is_published(tmp_path: Path, lists: str) -> None:
    root = mirflickr(tmp_path / "mir", MIRFLICKR_LABELS, lists=lists)
    dataset = load(root)
    assert len(MIRFLICKR_LABELS) == 38
    assert dataset.classes == MIRFLICKR_LABELS
    assert dataset.keys == tuple(f"mirflickr/im{number}.jpg" for number in (1, 2, 3))
    found = names_of(dataset)
    for number in (1, 2, 3):
        expected = [label for place, label in enumerate(MIRFLICKR_LABELS) if (place + 12) % number == 0]
        assert found[f"mirflickr/im{number}.jpg"] == tuple(expected)
    assert [(one.path, one.reason) for one in dataset.problems] == [("mirflickr/im4.jpg", "no label")]
    assert dataset.given_parts is None
    (root / lists / "sea.txt").write_text("1\nx2\n")
    with pytest.raises(DataError, match=r"sea\.txt, line 2: expected the number of a picture, came 'x2'"):
        load(root)
    (root / lists / "sea.txt").write_text("1\n77\n")
    assert ("mirflickr/im77.jpg", "no such file") in [(one.path, one.reason) for one in load(root).problems]
    (root / lists / "sea.txt").unlink()
    with pytest.raises(DataError, match=r"sea\.txt: cannot be read"):
        load(root)


def test_flowers_as_they_are_published(tmp_path: Path) -> None:
    root = flowers(tmp_path / "flowers")
    dataset = load(root)
    assert dataset.classes == ("3", "77")
    parts = dict(zip(dataset.keys, dataset.given_parts or (), strict=True))
    assert parts["jpg/image_00002.jpg"] == "validation"
    assert parts["jpg/image_00006.jpg"] == "query"
    assert names_of(dataset)["jpg/image_00006.jpg"] == ("3",)
    savemat(root / "setid.mat", {name: np.array([[1, 9]]) for name in ("trnid", "valid", "tstid")})
    with pytest.raises(DataError, match=r"setid\.mat: trnid names the picture 9, but 6 have a label"):
        load(root)
    savemat(root / "setid.mat", {name: np.array([[1, 2]]) for name in ("trnid", "valid", "tstid")})
    with pytest.raises(DataError, match=r"setid\.mat, valid: the picture jpg/image_00001\.jpg is in two lists"):
        load(root)
    savemat(root / "imagelabels.mat", {"labels": np.array([[0.5]])})
    with pytest.raises(DataError, match=r"imagelabels\.mat: expected a row of whole numbers named 'labels'"):
        load(root)


def test_pets_as_they_are_published(tmp_path: Path) -> None:
    root = pets(tmp_path / "pets")
    dataset = load(root)
    assert dataset.classes == ("Abyssinian", "great_pyrenees")
    assert dataset.parents == ("cat", "dog")
    assert dataset.given_parts == ("train", "train", "query", "query")
    (root / "annotations" / "test.txt").write_text("Abyssinian_2 1 2 1\n")
    with pytest.raises(DataError, match=r"test\.txt, line 1: 'Abyssinian' is a cat here and a dog before"):
        load(root)
    (root / "annotations" / "test.txt").write_text("Abyssinian 1 1 1\n")
    with pytest.raises(DataError, match=r"test\.txt, line 1: expected BREED_NUMBER"):
        load(root)
    (root / "annotations" / "test.txt").write_text("#\nAbyssinian_1 1 1 1\n")
    with pytest.raises(DataError, match=r"test\.txt, line 2: the picture images/Abyssinian_1\.jpg is in two lists"):
        load(root)


def test_a_car_is_listed_once(tmp_path: Path) -> None:
    root = cars(tmp_path / "cars")
    rows = [annotation(1, "00001.jpg"), annotation(2, "00001.jpg")]
    savemat(root / "devkit" / "cars_train_annos.mat", {"annotations": structs(rows)})
    with pytest.raises(DataError, match=r"train_annos\.mat, annotation 2: the picture cars_train/00001\.jpg is in two"):
        load(root)


def element(kind: int, content: bytes) -> bytes:
    """Return an element of a MATLAB file."""
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def array(kind: int, *rest: bytes, flags: bytes | None = None, shape: bytes | None = None) -> bytes:
    """Return an array named "a", by default of one element in two dimensions."""
    head = flags or element(6, struct.pack("<II", kind, 0))
    return element(14, head + (shape or dims(1, 1)) + element(1, b"a") + b"".join(rest))


def dims(*lengths: int) -> bytes:
    """Return the element of a shape."""
    return element(5, struct.pack(f"<{len(lengths)}i", *lengths))


INF = element(9, struct.pack("<dd", float("inf"), 1.0))
EMPTY = element(14, b"")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (array(6, element(9, bytes(8)), flags=INF), "broken numbers stand where whole ones belong"),
        (array(6, element(9, bytes(8)), shape=INF), "broken numbers stand where whole ones belong"),
        (array(4, element(16, b"x"), shape=dims()), r"an array has the shape \[\]"),
        (array(6, element(9, bytes(8)), shape=dims(*[2**31 - 1] * 400_000)), "an array has the shape"),
        (array(6, element(9, bytes(8)), shape=dims(1, -1)), "an array has the shape"),
        (array(1, EMPTY, shape=dims(8_000, 8_000)), "it names 64,000,000 elements, and 8 bytes are left"),
        (array(2, element(5, b"\x01\0\0\0"), element(1, b"ab"), EMPTY * 3, shape=dims(1, 2)), "names 4 elements"),
        (array(2, element(9, struct.pack("<d", float("inf"))), element(1, b"b"), EMPTY), "broken numbers"),
        (array(2, element(5, b"\x01\0\0\0"), element(1, b"b" * 3_000_000)), "structs have no names of fields"),
    ],
)
def test_what_a_mat_file_names_is_bounded_by_what_it_holds(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "a.mat"
    file.write_bytes(bytes(126) + b"IM" + content)
    with pytest.raises(DataError, match=rf"a\.mat: expected a MATLAB file of version 5, .*{message}"):
        read_mat(file, "a")


def test_a_mat_file_has_a_bound_of_elements(tmp_path: Path) -> None:
    file = tmp_path / "a.mat"
    packed = zlib.compress(array(1, EMPTY * 1_100_000, shape=dims(1, 1_100_000)))
    file.write_bytes(bytes(126) + b"IM" + struct.pack("<II", 15, len(packed)) + packed)
    with pytest.raises(DataError, match="it has more than 1,000,000 elements"):
        read_mat(file, "a")
