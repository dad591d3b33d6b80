"""The card that `nearbit train` leaves in a model's folder, and whose words it is."""

from pathlib import Path

import pytest

from nearbit.model.hub import is_untouched
from tiny_data import TINY, write_folder

TRAIN = ("train", "photos", "--method", "csq", *TINY, "-o", "birds.model")


@pytest.fixture(autouse=True)
def photos(tmp_path, monkeypatch):
    """A folder of 24 images of three classes, where commands run."""
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "photos", per_class=8)


def test_a_card_is_written_once_and_is_nobody_elses_afterwards(nearbit, as_json):
    model_id = as_json(*TRAIN)["model_id"]
    card = Path("birds.model/README.md")
    assert f"Model id: `{model_id}`" in card.read_text(encoding="utf-8")
    assert is_untouched(card.read_text(encoding="utf-8"))
    card.write_text("our own words", encoding="utf-8")
    status, _, err = nearbit(*TRAIN)
    assert (status, "birds.model is this very model already" in err) == (0, True)
    assert card.read_text(encoding="utf-8") == "our own words"
    card.unlink()
    assert nearbit(*TRAIN)[0] == 0
    assert is_untouched(card.read_text(encoding="utf-8"))
    other = as_json(*TRAIN, "--seed", "5", "--overwrite")["model_id"]
    assert f"Model id: `{other}`" in card.read_text(encoding="utf-8")


def test_of_its_recipe_it_says_what_was_given_instead(as_json):
    small = ("--backbone", "small", "--image-size", "8", "--regime", "auto", "--epochs", "1", "--batch-size", "8")
    as_json("train", "photos", "--preset", "crh-paper", *small, "--bits", "12", "-o", "birds.model")
    card = Path("birds.model/README.md").read_text(encoding="utf-8")
    assert "| published recipe | crh-paper |" in card
    told = {line for line in card.splitlines() if line.startswith("- given for this model: ")}
    given = ("backbone small", "image\\_size 8", "epochs 1", "batch\\_size 8", "regime auto")
    assert told == {f"- given for this model: {one}" for one in given}


def test_after_fine_tuning_a_head_that_is_trained_anew_is_spoken_of(nearbit):
    assert "try: " not in nearbit(*TRAIN)[1]
    tuned = ("--backbone", "model:birds.model", "--regime", "fine-tuned", "--allow-overlap", "-o", "tuned.model")
    status, out, err = nearbit(*TRAIN[:4], *TINY[2:], *tuned)
    assert status == 0, err
    assert "where training images are searched: nearbit train DATA --backbone model:tuned.model" in out


def test_changed_words_are_not_taken_for_nearbits(as_json):
    as_json(*TRAIN)
    card = Path("birds.model/README.md").read_text(encoding="utf-8")
    assert is_untouched(card)
    for changed in (
        "",
        "our own words",
        card.replace("# birds", "# Birds"),
        card + "ours\n",
        card.rsplit("<!--", 1)[0],
    ):
        assert not is_untouched(changed)
