"""`--imbalance` on the command line."""

import numpy as np

from nearbit.datasets import load_dataset, load_split


def test_a_long_tail_is_split_off_and_recorded(nearbit, tmp_path):
    status, out, err = nearbit("split", "digits", "-o", tmp_path / "tail.json", "--imbalance", "20")
    assert (status, err) == (0, "")
    split, dataset = load_split(tmp_path / "tail.json"), load_dataset("digits")
    kept = np.sort(sum(dataset.labels[split.rows(part)].sum(axis=0) for part in ("train", "validation")))
    assert split.recipe["imbalance"]["factor"] == 20
    assert kept[-1] // 20 == kept[0]
    assert f"{len(split.train)} train" in out


def test_an_imbalance_is_refused_beside_a_split_file_and_below_one(nearbit, tmp_path):
    nearbit("split", "digits", "-o", tmp_path / "plain.json")
    status, _, err = nearbit(
        "train", "digits", "--split", tmp_path / "plain.json", "--imbalance", "20", "-o", tmp_path / "a.model"
    )
    assert status == 2
    assert "--split names a split that is made" in err
    status, _, err = nearbit("split", "digits", "-o", tmp_path / "b.json", "--imbalance", "0.5")
    assert status == 2
    assert "the imbalance must be a number of at least 1, not 0.5" in err
