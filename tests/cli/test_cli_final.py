"""`nearbit train --final`: a model to ship, what is said of it, and what refuses to measure it."""

import pytest

from nearbit.model.bundle import load_model
from tiny_data import TINY, write_folder

TRAIN = ("train", "photos", "--method", "csq", *TINY, "--split", "split.json")


@pytest.fixture
def photos(tmp_path, monkeypatch, as_json):
    """A folder of 24 images of three classes, and a split of them in a file, where commands run."""
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "photos", per_class=8)
    as_json("split", "photos", "--query", "2", "--validation", "1", "--database", "2", "-o", "split.json")
    return tmp_path / "photos"


def test_it_is_trained_on_all_images_and_says_what_was_measured_before(nearbit, as_json, photos, tmp_path):
    before = as_json(*TRAIN, "-o", "plain.model")
    about = as_json(*TRAIN, "--final", "-o", "final.model")
    assert about["split"] == {"train": 24, "validation": 0, "query": 0, "database": 0}
    assert about["final"]["measured"]["model_id"] == before["model_id"] != about["model_id"]
    assert before["final"] is None
    said = (
        "final: trained on all 24 images, of which none can measure this model; the same recipe, trained on 9 of them, "
        f"had validation mAP {before['validation_map']:.4f} (tie-aware)"
    )
    status, out, err = nearbit(*TRAIN, "--final", "-o", "final.model")
    assert (status, "final.model is this very model already" in err) == (0, True)
    assert said in out.splitlines()
    assert out.splitlines()[-1] == "next: nearbit index add NAME.index DATA --model final.model"
    assert said in nearbit("inspect", "final.model")[1].splitlines()
    assert as_json("inspect", "final.model")["final"] == about["final"]
    assert "final:" not in nearbit("inspect", "plain.model")[1]
    assert not (tmp_path / "final.model.checkpoint").exists()


def test_it_does_not_take_the_place_of_the_model_that_was_measured(refused, as_json, photos):
    as_json(*TRAIN, "-o", "a.model")
    message = refused(*TRAIN, "--final", "-o", "a.model")
    assert "holds another model (csq, 12 bits), with final False instead of True: choose another -o" in message


def test_its_own_images_do_not_measure_it(nearbit, refused, as_json, photos):
    as_json(*TRAIN, "--final", "-o", "final.model")
    message = refused("evaluate", "final.model", "photos")
    assert "the model is final, trained on all 24 images, and no figure of it can be measured on them" in message
    status, _, err = nearbit("evaluate", "final.model", "photos", "--split", "split.json")
    assert status == 0
    assert "warning: 6 query images are training or validation images of the model: these figures are too good" in err
    message = refused("index", "add", "a.index", "photos", "--model", "final.model", "--part", "database")
    assert "the split that the model records has no database images: leave --part database out" in message
    assert as_json("index", "add", "a.index", "photos", "--model", "final.model")["added"] == 24


def test_its_card_names_the_recipes_figure(as_json, photos, tmp_path):
    before = as_json(*TRAIN, "-o", "plain.model")
    as_json(*TRAIN, "--final", "-o", "final.model")
    as_json("export", "final.model", "-o", "card.md", "--model-card")
    card = (tmp_path / "card.md").read_text()
    assert "None: the model is trained on all 24 images, which cannot measure it." in card
    assert "Its recipe, trained on 9 of them, had" in card
    assert f"{before['validation_map']:.4f} on validation" in card
    assert "model-index:" not in card


def test_an_interrupted_final_training_goes_on(nearbit, as_json, photos, tmp_path, monkeypatch):
    from nearbit.training import trainer

    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    whole = as_json(*TRAIN, "--final", "-o", "whole.model")
    train_epoch = trainer.Trainer._epoch

    def stop(self, state, stepper):
        if len(self._labels) == 24 and state.epoch + 1 == whole["epochs"]:
            raise KeyboardInterrupt
        train_epoch(self, state, stepper)

    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "_epoch", stop)
        assert nearbit(*TRAIN, "--final", "-o", "final.model")[0] == 130
    assert (tmp_path / "final.model.checkpoint" / "chosen").is_dir()
    assert as_json(*TRAIN, "--final", "-o", "final.model")["model_id"] == whole["model_id"]
    assert load_model("final.model").record["run_key"] == load_model("whole.model").record["run_key"]
    assert not (tmp_path / "final.model.checkpoint").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--only", "centers"], "--only centers stops before there is a model to train again: leave --final out"),
        (["--protocol", "unseen@all", "--unseen", "b"], "this split keeps classes unseen, to measure what a network"),
    ],
)
def test_what_cannot_be_final_is_refused(refused, photos, tmp_path, more, message):
    assert message in refused("train", "photos", "--method", "csq", *TINY, "--final", "-o", "a.npy", *more)
    assert not (tmp_path / "a.npy").exists()
