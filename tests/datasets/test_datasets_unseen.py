"""Protocols of seen and unseen classes: laws over awkward data, what is kept of the ordinary split, refusals."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nearbit.datasets import (
    PARTS,
    PROTOCOLS,
    Dataset,
    Split,
    SplitSizes,
    load_dataset,
    load_split,
    make_split,
    other_protocol,
    seen_only,
)
from nearbit.errors import DataError, InputError
from tiny_data import dataset_of, tiny_dataset

FOUR = ("seen@seen", "seen@all", "unseen@unseen", "unseen@all")
FIXED = ("fingerprint", "keys", "digests")


def made(labels: np.ndarray, contents: np.ndarray | None = None) -> Dataset:
    """A data set with these labels, of images of one pixel; equal `contents` are equal images."""
    contents = np.arange(len(labels)) if contents is None else contents
    pixels = np.stack([contents % 256, contents // 256, np.zeros_like(contents)], axis=1).astype(np.uint8)
    classes = tuple(f"class {column}" for column in range(labels.shape[1]))
    return dataset_of(pixels.reshape(-1, 1, 1, 3), labels, classes)


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    """Six classes of 8 or more images, some with two labels, some images twice under other labels."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    numbers = np.concatenate([np.repeat(np.arange(6), 8), rng.integers(0, 6, 60)])
    labels = numbers[:, None] == np.arange(6)
    second = rng.random(len(numbers)) < draw(st.sampled_from((0, 0.2)))
    labels[second, rng.integers(0, 6, int(second.sum()))] = True
    contents = np.arange(len(numbers))
    copies = rng.random(len(numbers)) < draw(st.sampled_from((0, 0.1)))
    contents[copies] = rng.integers(0, len(numbers), int(copies.sum()))
    return made(labels, contents)


def labels_by_content(dataset: Dataset) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in range(len(dataset)):
        found.setdefault(dataset.digests[row], set()).update(dataset.label_names(row))
    return found


def is_possible(dataset: Dataset, seed: int, sizes: SplitSizes, name: str) -> bool:
    try:
        make_split(dataset, seed=seed, sizes=sizes, protocol=name)
    except DataError as error:
        return not re.search("choose other unseen classes|take another seed", str(error))
    return True


@settings(max_examples=40, deadline=None)
@given(datasets(), st.integers(0, 5), st.sampled_from((SplitSizes(), SplitSizes(train=0.5, database="rest"))))
def test_laws_of_the_four_protocols(dataset: Dataset, seed: int, sizes: SplitSizes) -> None:
    ordinary = make_split(dataset, seed=seed, sizes=sizes)
    assume(all(is_possible(dataset, seed, sizes, name) for name in FOUR))
    splits = {name: make_split(dataset, seed=seed, sizes=sizes, protocol=name) for name in FOUR}
    content = labels_by_content(dataset)
    for name, split in splits.items():
        unseen = set(split.recipe["unseen"])
        assert len(unseen) == 2
        seen = set(dataset.classes) - unseen
        only = {"seen": seen, "unseen": unseen, "all": seen | unseen}
        asked, searched = name.split("@")
        for part, kind in zip(PARTS, ("seen", "seen", asked, searched), strict=True):
            wanted = [row for row in ordinary.rows(part).tolist() if content[dataset.digests[row]] <= only[kind]]
            assert split.rows(part).tolist() == wanted, f"{name}, {part}"
        own = [{dataset.digests[row] for row in split.rows(part)} for part in PARTS]
        assert sum(map(len, own)) == len(set().union(*own)), "content is in two parts"
        assert split.recipe == splits["seen@seen"].recipe | {"protocol": name}
        assert {d for part in own[:2] for d in part} == {
            dataset.digests[row] for part in PARTS[:2] for row in splits["seen@seen"].rows(part)
        }


def test_the_four_are_named_with_what_they_are_of() -> None:
    assert [name for name, protocol in PROTOCOLS.items() if protocol.kinds] == list(FOUR)
    for name in FOUR:
        assert "@".join(PROTOCOLS[name].kinds or ()) == name
        assert "1609.06753" in PROTOCOLS[name].citation


@pytest.mark.parametrize(("share", "number"), [(None, 3), (0.05, 1), (0.01, 1), (0.34, 3), (0.35, 4), (0.8, 8)])
def test_a_share_of_the_classes_is_drawn(share: float | None, number: int) -> None:
    digits = load_dataset("digits")
    split = make_split(digits, protocol="unseen@all", unseen=share)
    assert len(split.recipe["unseen"]) == number
    assert split.recipe["unseen"] == sorted(split.recipe["unseen"])
    more = make_split(digits, protocol="unseen@all", unseen=0.8)
    assert set(split.recipe["unseen"]) <= set(more.recipe["unseen"])


def test_other_seeds_draw_other_classes_and_classes_without_images_are_not_drawn() -> None:
    labels = np.repeat(np.eye(8, dtype=np.bool_), 10, axis=0)
    labels[:40] = np.roll(labels[:40], 4, axis=1)  # the first four classes have no images
    dataset = made(labels)
    drawn = {tuple(make_split(dataset, seed=seed, protocol="seen@all").recipe["unseen"]) for seed in range(30)}
    assert drawn == {("class 4",), ("class 5",), ("class 6",), ("class 7",)}


def test_classes_can_be_named() -> None:
    split = make_split(tiny_dataset(n_classes=4), protocol="unseen@unseen", unseen=["d", "b", "d"])
    assert split.recipe["unseen"] == ["b", "d"]
    assert split.sizes() == {"train": 12, "validation": 2, "query": 2, "database": 4}


def test_images_with_seen_and_unseen_labels_are_in_databases_of_all_only() -> None:
    labels = np.array([[1, 0, 0]] * 10 + [[0, 1, 0]] * 10 + [[0, 0, 1]] * 10 + [[1, 0, 1]] * 10, np.bool_)
    for name in FOUR:
        split = make_split(made(labels), protocol=name, unseen=["class 2"])
        rows = [row for part in PARTS for row in split.rows(part).tolist()]
        mixed = [row for row in rows if row >= 30]
        assert set(mixed) <= set(split.database.tolist())
        assert bool(mixed) == name.endswith("@all")


def test_copies_of_an_unseen_image_under_a_seen_label_are_not_trained_on() -> None:
    labels = np.repeat(np.eye(4, dtype=np.bool_), 10, axis=0)
    contents = np.arange(40)
    contents[30:40] = np.arange(10)  # every image of class 3 is one of class 0, too
    with pytest.raises(DataError, match="'class 0' has no training image without an unseen label: name it among"):
        make_split(made(labels, contents), protocol="seen@seen", unseen=["class 3"])
    split = make_split(made(labels, contents), protocol="unseen@unseen", unseen=["class 0", "class 3"])
    assert split.train.min() >= 10
    assert split.train.max() < 30


def test_given_parts_count_where_they_name_a_database() -> None:
    dataset = tiny_dataset(n_classes=4)
    four = replace(dataset, given_parts=("train", "train", "validation", "query", "database") * 8)
    split = make_split(four, protocol="seen@all", unseen=["a"])
    assert (split.recipe["protocol"], split.recipe.get("sizes")) == ("seen@all", None)
    assert split.train.tolist() == [row for row in range(10, 40) if row % 5 < 2]
    assert split.database.tolist() == list(range(4, 40, 5))
    assert other_protocol(four, split, "unseen@all").query.tolist() == [3, 8]
    three = replace(dataset, given_parts=("train", "train", "train", "query", "train") * 8)
    by_sizes = make_split(three, protocol="seen@all", unseen=["a"])
    assert by_sizes.recipe["sizes"] == SplitSizes().as_recipe()
    np.testing.assert_array_equal(by_sizes.train, make_split(dataset, protocol="seen@all", unseen=["a"]).train)


def test_options_of_unseen_classes_that_make_no_sense() -> None:
    dataset = tiny_dataset(n_classes=4)
    for unseen in (0.0, 1, -0.5, True, float("nan")):
        with pytest.raises(InputError, match="share of unseen classes must lie between 0 and 1"):
            make_split(dataset, protocol="seen@all", unseen=unseen)
    for unseen in ("a", []):
        with pytest.raises(InputError, match="a share or a list of at least one name"):
            make_split(dataset, protocol="seen@all", unseen=unseen)
    with pytest.raises(InputError, match="tiny has no class 'classy' that could be unseen"):
        make_split(dataset, protocol="seen@all", unseen=["classy"])
    for unseen in (["a", "b", "c"], 0.7):
        with pytest.raises(InputError, match="at least 2 seen classes, and 3 of the 4 classes of tiny would be unseen"):
            make_split(dataset, protocol="seen@all", unseen=unseen)
    for protocol in (None, "given"):
        with pytest.raises(InputError, match="unseen classes go with the protocols seen@seen"):
            make_split(dataset, protocol=protocol, unseen=0.5)
    with pytest.raises(InputError, match="Did you mean 'unseen@all'"):
        make_split(dataset, protocol="unseen@al")
    with pytest.raises(DataError, match="of 4 query images of tiny, none has unseen classes only"):
        make_split(made(np.eye(5, dtype=np.bool_)[[0] * 9 + [1] * 9 + [2] * 9 + [3] * 9 + [4] * 2]),
                   protocol="unseen@all", unseen=["class 4"])  # fmt: skip
    with pytest.raises(DataError, match="no image has a label"):
        make_split(made(np.zeros((4, 0), np.bool_)), protocol="seen@all")


def test_a_near_class_name_is_suggested() -> None:
    birds = replace(tiny_dataset(), classes=("wren", "robin", "crow"))
    with pytest.raises(InputError, match=r"tiny has no class 'wern' that could be unseen\. Did you mean 'wren'\?"):
        make_split(birds, protocol="seen@all", unseen=["wern"])


def test_another_protocol_follows_the_recipe(tmp_path) -> None:
    dataset = tiny_dataset(n_classes=4)
    sizes = SplitSizes(train=4, validation=2, query=2, database="rest")
    split = make_split(dataset, seed=3, protocol="seen@seen", sizes=sizes, unseen=0.5)
    split.save(tmp_path / "s.json")
    for name in FOUR:
        expected = make_split(dataset, seed=3, protocol=name, sizes=sizes, unseen=0.5)
        assert other_protocol(dataset, load_split(tmp_path / "s.json"), name).hash == expected.hash
    ordinary = make_split(dataset)
    with pytest.raises(InputError, match="the protocol unseen@all cannot follow a split by sizes"):
        other_protocol(dataset, ordinary, "unseen@all")
    with pytest.raises(InputError, match="the protocol given cannot follow a split by seen@seen"):
        other_protocol(dataset, split, "given")
    with pytest.raises(DataError, match="not those that the split was made for"):
        other_protocol(tiny_dataset(n_classes=4, seed=1), split, "seen@all")
    with pytest.raises(DataError, match="makes other training images now"):
        other_protocol(dataset, replace(split, recipe=split.recipe | {"seed": 4}), "seen@all")
    for broken in ({"sizes": {"trian": 1}}, {"sizes": 3}):
        with pytest.raises(DataError, match="the recipe of the split is damaged"):
            other_protocol(dataset, replace(split, recipe=split.recipe | broken), "seen@all")


def test_training_sees_the_labels_of_seen_classes_only() -> None:
    dataset = replace(tiny_dataset(n_classes=4), parents=("p", "q", "", "s"))
    split = make_split(dataset, protocol="unseen@all", unseen=["b"])
    seen = seen_only(dataset, split)
    assert (seen.classes, seen.parents, len(seen)) == (("a", "c", "d"), ("p", "", "s"), 40)
    np.testing.assert_array_equal(seen.labels, dataset.labels[:, [0, 2, 3]])
    assert seen_only(dataset, make_split(dataset)) is dataset


def changed(split: Split, unseen: object) -> Split:
    return Split(**{part: split.rows(part) for part in PARTS}, dataset="tiny", recipe={"unseen": unseen},
                 **{name: getattr(split, name) for name in FIXED})  # fmt: skip


@pytest.mark.parametrize(
    ("unseen", "match"),
    [
        (["a"], "train holds images of 'a', which the recipe of the split calls unseen"),
        (["e"], "the split does not fit tiny: tiny has no class 'e'"),
        ([], "a list of at least one name"),
        ("b", "must list its unseen classes, not 'b'"),
    ],
)
def test_a_recipe_that_was_changed_is_refused(unseen: object, match: str) -> None:
    dataset = tiny_dataset(n_classes=4)
    split = make_split(dataset, protocol="unseen@all", unseen=["b"])
    with pytest.raises(DataError, match=match):
        seen_only(dataset, changed(split, unseen))


def test_a_saved_split_keeps_its_unseen_classes(tmp_path) -> None:
    split = make_split(tiny_dataset(n_classes=4), protocol="unseen@all", unseen=["b"])
    split.save(tmp_path / "s.json")
    assert json.loads((tmp_path / "s.json").read_text())["recipe"]["unseen"] == ["b"]
    assert load_split(tmp_path / "s.json").recipe == split.recipe
