"""Splits: laws that hold for every recipe, protocols to the image, files that tell when they do not fit."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearbit.datasets import (
    PARTS,
    PROTOCOLS,
    ArrayImages,
    Dataset,
    Split,
    SplitSizes,
    find_overlap,
    load_dataset,
    load_split,
    make_split,
)
from nearbit.datasets.splits.sizes import counts_for
from nearbit.errors import DataError, InputError


def data(labels: Any, contents: Any = None, **changes: Any) -> Dataset:
    """A data set with these labels; equal `contents` are equal digests."""
    table = np.asarray(labels, dtype=np.bool_)
    contents = range(len(table)) if contents is None else contents
    fields: dict[str, Any] = {
        "name": "made",
        "source": ArrayImages(np.zeros((len(table), 2, 2), np.uint8)),
        "keys": tuple(f"row/{row}" for row in range(len(table))),
        "labels": table,
        "classes": tuple(f"class {column}" for column in range(table.shape[1])),
        "digests": tuple(f"{content:064x}" for content in contents),
    }
    return Dataset(**(fields | changes))


def one_label(*counts: int, **changes: Any) -> Dataset:
    return data(np.repeat(np.eye(len(counts), dtype=np.bool_), counts, axis=0), **changes)


def contents_of(dataset: Dataset, rows: np.ndarray) -> set[str]:
    return {dataset.digests[row] for row in rows}


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    n_rows, n_classes = draw(st.integers(1, 60)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    labels = rng.random((n_rows, n_classes)) < draw(st.sampled_from((0.2, 0.5)))
    if draw(st.booleans()):
        labels = rng.integers(0, n_classes, n_rows)[:, None] == np.arange(n_classes)
    labels[0, 0] = True
    contents = rng.integers(0, max(1, int(n_rows * draw(st.sampled_from((0.3, 1.0, 5.0))))), n_rows)
    return data(labels, contents)


RECIPES = [
    SplitSizes(),
    SplitSizes(train=0.5, validation=None, query=0.5, database=None),
    SplitSizes(train=0.3, validation=0.1, query=0.2, database="rest"),
    SplitSizes(train=0.3, query=0.3, database=None, database_includes_train=True),
]


@settings(max_examples=150, deadline=None)
@given(datasets(), st.sampled_from(RECIPES), st.integers(0, 5))
def test_laws_of_every_split(dataset: Dataset, sizes: SplitSizes, seed: int) -> None:
    split = make_split(dataset, seed=seed, sizes=sizes)
    for part in PARTS:
        assert (np.diff(split.rows(part)) > 0).all()
        assert dataset.labels[split.rows(part)].any(axis=1).all(), "a row without a label was used"
    own = {part: contents_of(dataset, split.rows(part)) for part in ("train", "validation", "query")}
    beside = contents_of(dataset, np.setdiff1d(split.database, np.union1d(split.train, split.validation)))
    parts = [*own.values(), beside]
    assert sum(map(len, parts)) == len(set().union(*parts)), "content is in two parts"
    assert not own["query"] & contents_of(dataset, split.database)
    has_train = dataset.labels[split.train].any(axis=0)
    np.testing.assert_array_equal(has_train, dataset.labels.any(axis=0))
    again = make_split(dataset, seed=seed, sizes=sizes)
    assert again.hash == split.hash
    split.check(dataset)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(RECIPES), st.integers(0, 400))
def test_counts_sum_to_the_class_and_train_is_never_empty(sizes: SplitSizes, n_images: int) -> None:
    counts = counts_for(sizes, n_images, "x")
    assert sum(counts) == n_images
    assert min(counts) >= 0
    assert counts[0] >= min(1, n_images)
    for part, count in zip(PARTS, counts, strict=False):
        size = getattr(sizes, part)
        if isinstance(size, float):
            assert abs(count - size * n_images) <= 1


@pytest.mark.parametrize(
    ("n_images", "counts"),
    [(1, [1, 0, 0, 0, 0]), (2, [2, 0, 0, 0, 0]), (3, [2, 0, 0, 1, 0]), (5, [2, 1, 1, 1, 0]), (10, [6, 1, 1, 2, 0])],
)
def test_small_classes_are_rounded_so(n_images: int, counts: list[int]) -> None:
    assert counts_for(SplitSizes(), n_images, "x") == counts


def test_default_fractions_are_stratified() -> None:
    split = make_split(one_label(50, 100))
    assert split.sizes() == {"train": 90, "validation": 15, "query": 15, "database": 30}
    assert (split.query < 50).sum() == 5
    assert make_split(one_label(50, 100), seed=1).hash != split.hash
    assert split.recipe["sizes"]["train"] == "rest"


def test_exact_counts_with_copies() -> None:
    contents = [*range(16), 3, 3, 7, 20, 21, 22]  # copies within class 0, and 7 in both classes
    labels = np.repeat(np.eye(2, dtype=np.bool_), (18, 4), axis=0)
    sizes = SplitSizes(train=1, validation=None, query=2, database="rest")
    split = make_split(data(labels, contents), sizes=sizes)
    assert split.sizes() == {"train": 2, "validation": 0, "query": 4, "database": 16}
    assert {3, 7, 16, 17, 18} <= set(split.database.tolist())


def test_exact_counts_that_copies_make_impossible() -> None:
    sizes = SplitSizes(train=2, validation=None, query=2, database=None)
    with pytest.raises(DataError, match=r"'class 0' has so many equal images"):
        make_split(data(np.ones((4, 1)), [0, 0, 0, 1]), sizes=sizes)


def test_counts_that_a_class_has_not() -> None:
    with pytest.raises(DataError, match=r"'class 1' has 5 images to place, but the sizes ask for 6"):
        make_split(one_label(9, 5), sizes=SplitSizes(query=5, validation=None, database=None))
    one = make_split(one_label(9, 6), sizes=SplitSizes(query=5, validation=None, database=None))
    assert one.sizes() == {"train": 5, "validation": 0, "query": 10, "database": 0}


def test_rows_of_many_labels_count_for_the_rarest() -> None:
    labels = np.zeros((40, 2), np.bool_)
    labels[:, 0] = True
    labels[:10, 1] = True
    split = make_split(data(labels), sizes=SplitSizes(train="rest", validation=None, query=2, database=None))
    assert (split.query < 10).sum() == 2
    assert len(split.query) == 4


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"train": None}, "train must have images"),
        ({"query": 0}, "query must be a fraction"),
        ({"query": 1.0}, "query must be a fraction"),
        ({"query": True}, "query must be a fraction"),
        ({"query": "all"}, "query must be a fraction"),
        ({"query": float("nan")}, "query must be a fraction"),
        ({"database": "rest"}, "only one part can be 'rest'"),
        ({"train": 0.7, "database": 0.3}, "the fractions must sum to 1 at most, not 1.2"),
    ],
)
def test_sizes_that_make_no_sense(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match):
        SplitSizes(**changes)


def test_options_that_make_no_sense() -> None:
    dataset = one_label(9, 9)
    with pytest.raises(InputError, match=r"a protocol or sizes, not both"):
        make_split(dataset, protocol="given", sizes=SplitSizes())
    with pytest.raises(InputError, match=r"must be one of given, cifar100/shc.*Did you mean 'cifar100/shc'"):
        make_split(dataset, protocol="cifar100/sch")
    with pytest.raises(InputError, match=r"seed must be a whole number of at least 0, not"):
        make_split(dataset, seed=-1)
    with pytest.raises(DataError, match=r"no image has a label"):
        make_split(data(np.zeros((3, 0))), sizes=SplitSizes())
    with pytest.raises(
        DataError, match=r"came without parts; add a split file .*, or name sizes in place of the protocol"
    ):
        make_split(dataset, protocol="given")


def test_given_parts_without_validation_and_database() -> None:
    parts = ("train",) * 20 + ("query",) * 5 + ("train",) * 20 + ("",) * 5
    dataset = one_label(25, 25, given_parts=parts)
    split = make_split(dataset)
    assert split.recipe["protocol"] == "given"
    assert split.sizes() == {"train": 36, "validation": 4, "query": 5, "database": 40}
    assert (split.validation < 25).sum() == 2
    np.testing.assert_array_equal(np.union1d(split.train, split.validation), split.database)
    assert make_split(dataset, sizes=SplitSizes()).recipe["protocol"] is None


def test_given_parts_are_taken_as_they_are() -> None:
    parts = ("train", "validation", "query", "database") * 5
    split = make_split(one_label(20, given_parts=parts))
    for number, part in enumerate(PARTS):
        assert split.rows(part).tolist() == list(range(number, 20, 4))


@pytest.mark.parametrize("missing", ["train", "query"])
def test_given_parts_need_train_and_query(missing: str) -> None:
    other = "query" if missing == "train" else "train"
    with pytest.raises(DataError, match=f"its split gives no {missing} images"):
        make_split(one_label(4, given_parts=(other,) * 4))


def test_a_query_image_in_the_database_is_refused_unless_allowed(tmp_path: Path) -> None:
    parts = ("train", "train", "train", "query", "query")
    dataset = data(np.ones((5, 1)), [1, 2, 3, 2, 9], given_parts=parts)
    with pytest.raises(DataError, match=r"1 of 2 query images .* in database, .* is 'row/3', the same as 'row/1'"):
        make_split(dataset)
    split = make_split(dataset, allow_overlap=True)
    shared = find_overlap(split).between("query", "database")
    assert (shared.by_row, shared.by_content, shared.first) == (0, 1, ("row/3", "row/1"))
    assert find_overlap(split).between("query", "train").by_content == 1
    assert find_overlap(split).between("validation", "train").first is None
    split.save(tmp_path / "split.json")
    load_split(tmp_path / "split.json").check(dataset)
    text = json.loads((tmp_path / "split.json").read_text())
    text["recipe"]["allow_overlap"] = False
    (tmp_path / "split.json").write_text(json.dumps(text))
    with pytest.raises(DataError, match=r"1 of 2 query images"):
        load_split(tmp_path / "split.json")
    with pytest.raises(DataError, match=r"compared are"):
        find_overlap(split).between("train", "query")


def test_a_query_image_in_validation_is_refused() -> None:
    parts = ("train", "database", "validation", "query")
    with pytest.raises(DataError, match=r"1 of 1 query images .* in validation, .* is 'row/3', the same as 'row/2'"):
        make_split(data(np.ones((4, 1)), [1, 2, 3, 3], given_parts=parts))


def test_overlap_by_row() -> None:
    dataset = one_label(6)
    rows = {"train": [0, 1], "validation": [1], "query": [2, 3], "database": [0, 3, 4]}
    fields = {"dataset": "made", "recipe": {}, "digests": dataset.digests, "keys": dataset.keys, "fingerprint": "f"}
    split = Split(**{part: np.array(value) for part, value in rows.items()}, **fields)
    found = find_overlap(split)
    assert (found.between("query", "database").by_row, found.between("query", "database").by_content) == (1, 1)
    assert found.between("validation", "train").by_row == 1
    assert found.between("query", "train").first is None


def cifar(name: str, n_classes: int, contents: Any = None) -> Dataset:
    classes = np.random.default_rng(0).permutation(np.repeat(np.arange(n_classes), 60_000 // n_classes))
    return data(classes[:, None] == np.arange(n_classes), contents, name=name)


@pytest.mark.parametrize(
    ("protocol", "train", "validation", "query", "database"),
    [
        ("cifar100/shc", 9_000, 1_000, 5_000, 45_000),
        ("cifar10/i", 4_500, 500, 1_000, 54_000),
        ("cifar10/ii", 4_500, 500, 1_000, 59_000),
        ("cifar10/iii", 45_000, 5_000, 10_000, 50_000),
    ],
)
def test_protocols_are_exact(protocol: str, train: int, validation: int, query: int, database: int) -> None:
    name = protocol.split("/")[0]
    contents = np.arange(60_000)
    contents[100:126] = np.arange(26)  # copies, as CIFAR-100 has them
    dataset = cifar(name, 100 if name == "cifar100" else 10, contents.tolist())
    split = make_split(dataset, protocol=protocol)
    assert split.sizes() == {"train": train, "validation": validation, "query": query, "database": database}
    for part in PARTS:
        assert len(set(dataset.labels[split.rows(part)].sum(axis=0).tolist())) == 1
    assert find_overlap(split).between("query", "database").by_content == 0
    assert find_overlap(split).between("validation", "train").by_content == 0


def test_protocols_are_for_their_data_set_only() -> None:
    with pytest.raises(DataError, match=r"the protocol cifar100/shc is for cifar100, but the data set is digits"):
        make_split(load_dataset("digits"), protocol="cifar100/shc")
    with pytest.raises(DataError, match=r"needs all 60,000 images of cifar10, 6000 of each"):
        make_split(one_label(6, 6, name="cifar10"), protocol="cifar10/i")
    assert all(protocol.name == name and protocol.citation for name, protocol in PROTOCOLS.items())


def test_a_split_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    dataset = load_dataset("digits")
    split = make_split(dataset, seed=3)
    split.save(tmp_path / "deep" / "split.json")
    back = load_split(tmp_path / "deep" / "split.json")
    assert back.hash == split.hash
    assert (back.recipe, back.keys, back.digests, back.fingerprint) == (
        split.recipe, split.keys, split.digests, dataset.fingerprint,
    )  # fmt: skip
    for part in PARTS:
        assert back.rows(part).dtype == np.int64
        np.testing.assert_array_equal(back.rows(part), split.rows(part))
    back.check(dataset)
    with pytest.raises(ValueError, match=r"read-only"):
        back.train[0] = 5
    with pytest.raises(DataError, match=r"a split has the parts"):
        back.rows("test")


def test_a_split_tells_when_the_images_changed() -> None:
    dataset = one_label(10, 10)
    split = make_split(dataset)
    split.check(one_label(10, 10, keys=tuple(f"moved/{row}" for row in range(20))))
    with pytest.raises(DataError, match=r"was made for 20 images of made, but made has 21"):
        split.check(one_label(10, 11))
    with pytest.raises(DataError, match=r"2 of 20 images of made are not those .* first: 'row/4'"):
        split.check(one_label(10, 10, contents=[*range(4), 99, 98, *range(6, 20)]))
    with pytest.raises(DataError, match=r"labels or classes of made have changed"):
        split.check(one_label(11, 9))


def change(path: Path, **changes: Any) -> Path:
    text = json.loads(path.read_text())
    path.write_text(json.dumps(text | changes))
    return path


def test_files_that_are_no_splits_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "split.json"
    split = make_split(one_label(10, 10))
    parts = {part: split.rows(part).tolist() for part in PARTS}
    with pytest.raises(DataError, match=r"cannot be read: No such file"):
        load_split(file)
    for text in ("{", "[]", '{"parts": {}}'):
        file.write_text(text)
        with pytest.raises(DataError, match=r"expected a split written by nearbit"):
            load_split(file)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"version": 2}, "version 2; this nearbit reads up to 1: update nearbit"),
        ({"version": "x"}, "version 'x'"),
        ({"parts": {}}, "a damaged split .KeyError"),
        ({"parts": parts | {"train": [0, "1"]}}, "a damaged split .TypeError"),
        ({"parts": parts | {"train": [1.5]}}, "a damaged split .TypeError"),
        ({"parts": parts | {"train": [3, 1]}}, "train must be unique row numbers from 0 to 19, ascending"),
        ({"parts": parts | {"train": [20]}}, "train must be unique row numbers"),
        ({"parts": parts | {"query": []}}, "its rows do not fit its hash"),
        ({"keys": ["a"]}, "as many keys as digests"),
    ]
    for changes, match in wrong:
        split.save(file)
        with pytest.raises(DataError, match=match):
            load_split(change(file, **changes))


def test_a_class_that_is_never_the_rarest_still_trains() -> None:
    dataset = data([[1, 1, 0]] * 2 + [[1, 0, 1]] * 2 + [[0, 1, 0]] + [[0, 0, 1]])
    sizes = SplitSizes(train=0.3, validation=None, query=0.3, database="rest")
    for seed in range(40):
        split = make_split(dataset, seed=seed, sizes=sizes)
        assert dataset.labels[split.train].any(axis=0).all()


def test_sizes_by_name_are_those_of_split_sizes():
    given = {"train": 3, "validation": 1, "query": 0.2, "database": "rest"}
    dataset = data(np.eye(4, dtype=bool).repeat(10, axis=0))
    by_name, by_class = make_split(dataset, sizes=given), make_split(dataset, sizes=SplitSizes(**given))
    assert by_name.hash == by_class.hash
    assert by_name.sizes() == {"train": 12, "validation": 4, "query": 8, "database": 16}
    with pytest.raises(InputError, match=r"has no option 'quary'.*Did you mean 'query'"):
        make_split(dataset, sizes={"quary": 0.2})
