"""`--regime two-step` on the command line: what is said, what is found again, what is refused."""

import pytest

from tiny_data import write_folder

TWO_STEP = (
    "--regime", "two-step", "--backbone", "small", "--image-size", "8", "--epochs", "2", "--batch-size", "8",
    "--device", "cpu",
)  # fmt: skip
TRAIN = ("train", "photos", "--split", "split.json", *TWO_STEP)


@pytest.fixture
def photos(tmp_path, monkeypatch, as_json):
    """A folder of 36 images of three classes, and a split of them in a file, where commands run."""
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "photos", per_class=12)
    as_json("split", "photos", "--query", "2", "--validation", "3", "--database", "2", "-o", "split.json")
    return tmp_path / "photos"


def test_it_says_how_the_backbone_was_tuned_and_finds_it_again(nearbit, as_json, photos):
    status, out, _ = nearbit(*TRAIN, "--method", "csq", "--bits", "8", "--head", "hidden", "-o", "a.model")
    assert status == 0
    assert out.startswith("a.model: csq, 8 bits, two-step, hidden head on small")
    about = as_json("inspect", "a.model")
    assert about["regime"] == "two-step"
    right = about["tuning"]["validation_accuracy"]
    said = (
        f"backbone: tuned as a classifier, epoch {about['tuning']['selected_epoch']} of 2, which was right on "
        f"{right:.1%} of the validation images; then the head:"
    )
    assert said in out.splitlines()
    assert said in nearbit("inspect", "a.model")[1].splitlines()
    status, _, err = nearbit(*TRAIN, "--method", "csq", "--bits", "8", "--head", "hidden", "-o", "a.model")
    assert (status, "a.model is this very model already" in err) == (0, True)
    other = as_json(*TRAIN, "--method", "itq", "--bits", "4", "-o", "b.model")
    assert (other["tuning"], other["regime"]) == (about["tuning"], "two-step")
    assert as_json("evaluate", "b.model", "photos")["n_bits"] == 4
    assert as_json("index", "add", "a.index", "photos", "--model", "a.model")["added"] == 36


def test_another_first_step_is_another_model(refused, as_json, photos):
    as_json(*TRAIN, "--method", "csq", "--bits", "8", "--head", "hidden", "-o", "a.model")
    message = refused(*TRAIN, "--method", "csq", "--bits", "8", "--head", "hidden", "--epochs", "3", "-o", "a.model")
    assert "holds another model (csq, 8 bits), with epochs 2 instead of 3" in message


def test_what_does_nothing_in_two_steps_is_refused(refused, photos):
    message = refused(*TRAIN, "--method", "itq", "--radius-weight", "0.1", "-o", "a.model")
    assert "--radius-weight would do nothing for itq" in message
    message = refused(*TRAIN, "--method", "shc", "--only", "similarity", "-o", "s.npy")
    assert "--only similarity is a stage of one step, and in two steps a backbone is tuned before" in message


def test_a_comparison_tunes_one_backbone(as_json, nearbit, photos):
    given = ("compare", "photos", "--split", "split.json", *TWO_STEP, "--seeds", "1", "--bits", "4", "8")
    status, _, err = nearbit(*given, "--methods", "csq", "itq", "--heads", "hidden", "--jobs", "1", "-o", "out")
    assert status == 0
    assert err.count("seed 0: its backbone is fine-tuned") == 1
