"""Lists of the field in their real shape: as many columns and rows a part as they are published with."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from nearbit.datasets import PROTOCOLS, ArrayImages, Dataset, Split, make_split
from nearbit.datasets.formats import labels_file
from nearbit.datasets.formats.list_names import find_lists
from nearbit.datasets.formats.lists import list_lists
from nearbit.datasets.listing import tidied
from nearbit.errors import DataError
from nearbit.reading import ReadingOptions

NAMES = {"train": "train", "validation": "valid", "query": "test", "database": "database"}
Parts = Mapping[str, range]


@pytest.fixture(autouse=True)
def _every_image_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pictures are made: a quarter of a million would take minutes."""
    monkeypatch.setattr(labels_file, "_is_there", lambda path: True)


def rows(n_classes: int, form: str) -> list[str]:
    """Return what stands after the path of an image of each class; one-hot images of odd classes have a second one."""
    if form == "numbers":
        return [str(number) for number in range(n_classes)]
    own = np.eye(n_classes, dtype=int)
    own[1::2] |= np.roll(own, 1, axis=1)[1::2]
    return [" ".join(map(str, line)) for line in own.tolist()]


def write(folder: Path, n_classes: int, parts: Parts, form: str, lead: str = "") -> Path:
    """Write a list for each part; image i has the class i mod n."""
    classes = rows(n_classes, form)
    folder.mkdir(exist_ok=True)
    for part, numbers in parts.items():
        text = "".join(f"{lead}images/{number:06}.jpg {classes[number % n_classes]}\n" for number in numbers)
        (folder / f"{NAMES[part]}.txt").write_text(text, encoding="utf-8")
    return folder


def read(folder: Path) -> Dataset:
    """Return the data set that a folder of lists names, without its pictures."""
    assert find_lists(folder) == folder
    listing = tidied(list_lists(folder, ReadingOptions()))
    assert listing.classes is not None
    column = {name: number for number, name in enumerate(listing.classes)}
    labels = np.zeros((len(listing.items), len(column)), np.bool_)
    for row, item in enumerate(listing.items):
        labels[row, [column[name] for name in item.names]] = True
    return Dataset(
        name=folder.name,
        source=ArrayImages(np.zeros((len(labels), 1, 1), np.uint8)),
        keys=tuple(item.key for item in listing.items),
        labels=labels,
        classes=listing.classes,
        digests=tuple(f"{row:064x}" for row in range(len(labels))),
        given_parts=tuple(item.part for item in listing.items),
        notes=listing.notes,
        read_as=listing.read_as,
    )


@pytest.mark.parametrize("form", ["hot", "numbers"])
@pytest.mark.parametrize("n_classes", [10, 21, 24, 38, 80, 81, 100, 196, 200, 555])
def test_lists_with_as_many_columns_as_the_field_has(tmp_path: Path, n_classes: int, form: str) -> None:
    n = n_classes
    parts = {
        "train": range(6 * n),
        "validation": range(n),
        "query": range(6 * n, 7 * n),
        "database": range(3 * n, 6 * n),
    }
    dataset = read(write(tmp_path / "lists", n, parts, form, lead="/home/someone/data/"))
    assert dataset.classes == tuple(map(str, range(n)))
    assert ("class numbers" if form == "numbers" else f"0 or 1 for each of {n} classes") in dataset.read_as
    own = [
        {number % n} | ({(number + 1) % n} if form == "hot" and number % n % 2 else set()) for number in range(7 * n)
    ]
    assert [set(np.flatnonzero(row).tolist()) for row in dataset.labels] == own
    split = make_split(dataset)
    assert split.sizes() == {"train": 5 * n, "validation": n, "query": n, "database": 3 * n}
    assert len(split.notes) == 1


def published(name: str) -> Parts:
    """Return the images of each part of a protocol of lists: train in the database, or all apart."""
    counts = {**(PROTOCOLS[name].counts or {}), **PROTOCOLS[name].least}
    train, query = counts["train"], counts["query"]
    parts = {"query": range(query), "train": range(query, query + train)}
    if "database" not in counts:
        return parts
    first = query + train * (name in ("mirflickr25k/38", "voc2012"))
    return parts | {"database": range(first, first + counts["database"])}


SMALL = [
    ("mirflickr25k/38", "hot"), ("voc2012", "hot"), ("cub200", "hot"), ("cub200", "numbers"), ("cars196", "hot"),
    ("cars196", "numbers"),
]  # fmt: skip
LARGE = [
    ("imagenet100/hashnet", "hot"), ("imagenet100/hashnet", "numbers"), ("imagenet100/10k", "numbers"),
    ("coco/hashnet", "hot"), ("nus-wide/21", "hot"), ("nus-wide/21-m", "hot"), ("nus-wide/81", "hot"),
    ("nabirds", "hot"), ("nabirds", "numbers"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "form"), [*SMALL, *(pytest.param(*one, marks=pytest.mark.slow) for one in LARGE)])
def test_lists_with_as_many_images_as_a_protocol_has(tmp_path: Path, name: str, form: str) -> None:
    counts = {**(PROTOCOLS[name].counts or {}), **PROTOCOLS[name].least}
    split = split_of(tmp_path / "lists", name, published(name), form)
    assert len(split.train) + len(split.validation) == counts["train"]
    assert abs(len(split.validation) - counts["train"] / 10) < counts["train"] / 50
    assert len(split.query) == counts["query"]
    assert len(split.database) == counts.get("database", counts["train"])


def split_of(folder: Path, name: str, parts: Parts, form: str = "numbers") -> Split:
    return make_split(read(write(folder, PROTOCOLS[name].n_classes or 0, parts, form)), protocol=name)


def test_every_protocol_of_lists_has_a_test() -> None:
    assert {name for name, _ in SMALL + LARGE} == {name for name, one in PROTOCOLS.items() if one.counts is not None}


@pytest.mark.parametrize(
    ("name", "n_valid"), [("cars196", 1_506), pytest.param("nabirds", 4_417, marks=pytest.mark.slow)]
)
def test_lists_of_mds_whose_train_holds_valid(tmp_path: Path, name: str, n_valid: int) -> None:
    parts, counts = published(name), PROTOCOLS[name].counts or {}
    train = parts["train"]
    split = split_of(tmp_path / "lists", name, {**parts, "validation": train[:n_valid]})
    apart = split_of(tmp_path / "lists", name, {**parts, "train": train[n_valid:], "validation": train[:n_valid]})
    for one in (split, apart):
        assert one.sizes() == {
            "train": counts["train"] - n_valid, "validation": n_valid, "query": counts["query"],
            "database": counts["train"],
        }  # fmt: skip
    assert split.notes == (
        f"{n_valid:,} of {n_valid:,} validation images were given to train, too: train is the other "
        f"{counts['train'] - n_valid:,}",
    )
    assert apart.notes == ()
    beyond = range(train.stop, train.stop + n_valid)
    with pytest.raises(DataError, match=rf"train has {counts['train'] + n_valid:,} images, not {counts['train']:,}\."):
        split_of(tmp_path / "lists", name, {**parts, "validation": beyond})


@pytest.mark.parametrize(
    "database", [range(8_041, 8_341), range(20_000, 28_144)], ids=["a part of train", "other images, as many"]
)
def test_a_database_that_is_not_the_published_one_is_refused(tmp_path: Path, database: range) -> None:
    parts = published("cars196")
    with pytest.raises(DataError, match=rf"database has {len(database):,} images that are not those of train"):
        split_of(tmp_path / "lists", "cars196", {**parts, "database": database})
    assert split_of(tmp_path / "lists", "cars196", {**parts, "database": parts["train"]}).sizes()["database"] == 8_144
