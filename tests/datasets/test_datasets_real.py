"""The shared data sets, where `NEARBIT_DATA` names the folder that holds them."""

import os
from pathlib import Path

import pytest

from nearbit.datasets import find_overlap, load_dataset, make_split
from nearbit.errors import DataError

pytestmark = pytest.mark.real


def folder(name: str) -> Path:
    named = os.environ.get("NEARBIT_DATA")
    if not named:
        pytest.skip("NEARBIT_DATA is not set: no real images were read")
    place = Path(named) / name
    if not place.exists():
        pytest.skip(f"NEARBIT_DATA holds no {name}")
    return place


def test_cifar100_whole() -> None:
    dataset = load_dataset(folder("cifar-100-binary"))
    assert (len(dataset), dataset.n_classes, len(set(dataset.digests))) == (60_000, 100, 60_000 - 26)
    assert dataset.parents is not None
    assert all(dataset.parents.count(parent) == 5 for parent in dataset.parents)
    split = make_split(dataset, protocol="cifar100/shc")
    assert split.sizes() == {"train": 9_000, "validation": 1_000, "query": 5_000, "database": 45_000}
    assert all(shared.by_content == 0 for shared in find_overlap(split).pairs)


def test_cifar100_both_levels() -> None:
    dataset = load_dataset(folder("cifar-100-binary"), label_level="both")
    assert dataset.labels.sum(axis=1).tolist() == [2] * 60_000
    assert make_split(dataset, protocol="cifar100/shc").sizes()["query"] == 5_000
    with pytest.raises(DataError, match="needs all 60,000 images"):
        make_split(load_dataset(folder("cifar-100-binary"), label_level="coarse"), protocol="cifar100/shc")


def test_cars(tmp_path: Path) -> None:
    dataset = load_dataset(folder("cars"), cache=tmp_path)
    assert (len(dataset), dataset.n_classes, len(dataset.problems)) == (8_144, 196, 0)
    with pytest.raises(DataError, match="3 of 2030 query images are also in database"):
        make_split(dataset)
    split = make_split(dataset, allow_overlap=True)
    assert (len(split.query), len(split.database)) == (2_030, 6_114)
    assert 580 < len(split.validation) < 640


def test_coco_mini(tmp_path: Path) -> None:
    dataset = load_dataset(folder("coco-mini"), cache=tmp_path)
    assert (len(dataset), dataset.n_classes, dataset.name) == (410, 80, "coco-mini")
    assert make_split(dataset).sizes()["query"] == 100


def test_imagenet_check(tmp_path: Path) -> None:
    dataset = load_dataset(folder("imagenet-check"), cache=tmp_path)
    assert (len(dataset), dataset.n_classes) == (200, 200)
    assert dataset.source.read(0, at_least=64).mode == "RGB"
