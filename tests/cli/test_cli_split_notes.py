"""What a person should know of a split is said by the commands that make one, and kept."""

import json
from types import SimpleNamespace

import pytest

from nearbit.cli.split_options import say_few_images
from nearbit.datasets import load_split
from tiny_data import TINY, tiny_dataset, tiny_split, write_folder

NOTE = "3 of 3 validation images were given to train, too: train is the other 12"
TRAINED = [*TINY[:4], *TINY[6:]]


@pytest.fixture
def lists(tmp_path, monkeypatch):
    """Text lists of ten images of each of three classes whose train list holds the validation list."""
    monkeypatch.chdir(tmp_path)
    root = write_folder(tmp_path / "photos", n_classes=3, per_class=10)
    paths = [sorted(folder.iterdir()) for folder in sorted(root.iterdir())]
    for name, first, last in (("train", 0, 5), ("valid", 0, 1), ("test", 5, 7), ("database", 7, 10)):
        rows = [f"{path.relative_to(root)} {label}\n" for label, own in enumerate(paths) for path in own[first:last]]
        (root / f"{name}.txt").write_text("".join(rows))
    return root


def test_a_split_says_and_keeps_its_notes(lists, nearbit, as_json, tmp_path):
    status, out, err = nearbit("split", "photos", "-o", "split.json")
    assert status == 0
    assert "split.json: 12 train, 3 validation, 6 query, 9 database" in out
    assert f"split: {NOTE}\n" in err
    assert load_split(tmp_path / "split.json").notes == (NOTE,)
    assert as_json("split", "photos", "-o", "split.json")["notes"] == [NOTE]


def test_training_says_the_notes_of_a_split_made_or_read(lists, nearbit, tmp_path):
    nearbit("split", "photos", "-o", "split.json")
    for more in ([], ["--split", "split.json"]):
        status, _, err = nearbit("train", "photos", "-o", "a.model", "--method", "csq", *TINY, *more)
        assert (status, err.count(f"split: {NOTE}\n")) == (0, 1), err


def test_lengths_and_comparisons_say_them_too(lists, nearbit, tmp_path):
    status, _, err = nearbit("bits", "photos", "--bits", "8", "--method", "csq", *TRAINED)
    assert (status, err.count(NOTE)) == (0, 1), err
    asked = [
        "compare",
        "photos",
        "-o",
        "out",
        *TRAINED,
        "--bits",
        "8",
        "--methods",
        "csq",
        "--seeds",
        "2",
        "--jobs",
        "1",
    ]
    status, out, err = nearbit(*asked)
    assert (status, (out + err).count(NOTE)) == (0, 1), err
    about = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert about["split"]["notes"] == [NOTE]
    assert NOTE in (tmp_path / "out" / "table.md").read_text()
    del about["split"]["notes"]  # as an older version wrote it
    (tmp_path / "out" / "comparison.json").write_text(json.dumps(about))
    assert nearbit(*asked)[0] == 0


class RowsAlone:
    """Labels of which some rows may be asked for, and never all at once."""

    def __init__(self, labels):
        self._labels, self.asked = labels, []

    def __getitem__(self, rows):
        self.asked.append(len(rows))
        return self._labels[rows]


def test_an_image_with_two_labels_of_a_query_is_found_once(capsys):
    dataset = tiny_dataset(multi_label=True, n_classes=2)
    split = tiny_split(dataset)
    labels = RowsAlone(dataset.labels)
    say_few_images(SimpleNamespace(labels=labels, n_classes=2), split)
    assert labels.asked == [len(split.query), len(split.database)]
    shared = (dataset.labels[split.query][:, None] & dataset.labels[split.database]).any(axis=2).sum(axis=1)
    middle = sorted(shared.tolist())[len(shared) // 2]
    assert middle <= len(split.database)
    assert f"the database has {middle} images that a query should find (the median)" in capsys.readouterr().err
