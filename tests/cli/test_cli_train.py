"""`nearbit train` and what people get wrong: one line with the reason and no model, or what is documented."""

import json
import re
import shutil

import pytest
import torch

from nearbit.methods import BASELINES, METHODS
from nearbit.model.bundle import load_model
from tiny_data import TINY, write_folder

TUNED = ["--regime", "two-step", "--epochs", "1", "--batch-size", "8"]
FEW = ["--image-size", "8", "--epochs", "1", "--device", "cpu", "--batch-size", "8"]


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder with images of three classes, which is where commands run."""
    monkeypatch.chdir(tmp_path)
    return write_folder(tmp_path / "photos", per_class=6)


@pytest.fixture(scope="session")
def features(tmp_path_factory):
    """Options of frozen features of a ResNet-18 whose random weights stand for pretrained ones."""
    from safetensors.torch import save_file

    from nearbit.networks import ResNet

    path = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    torch.manual_seed(1)
    save_file(ResNet("resnet18").state_dict(), path)
    return ["--backbone", "resnet18", "--weights", path, "--image-size", "16", "--device", "cpu"]


def is_finite(path):
    return all(bool(value.isfinite().all()) for value in load_model(path).network.state_dict().values())


def nothing_is_left(folder):
    return sorted(path.name for path in folder.iterdir() if path.name not in ("photos", "rows.csv")) == []


@pytest.mark.parametrize("method", ["crh", pytest.param("csq", marks=pytest.mark.slow)])
def test_a_class_with_one_image_is_trained(as_json, photos, method):
    for file in sorted((photos / "c").iterdir())[1:]:
        file.unlink()
    about = as_json("train", "photos", *FEW, "--bits", "12", "--method", method, "-o", "a.model")
    assert about["split"]["train"] > 0
    assert is_finite("a.model")


def test_images_without_labels_are_refused_by_what_needs_them(refused, photos, tmp_path):
    for file in photos.rglob("*.png"):
        file.rename(photos / file.name)
    for folder in "abc":
        (photos / folder).rmdir()
    assert "no readable image with a label" in refused("train", "photos", *FEW, "-o", "a.model")
    assert nothing_is_left(tmp_path)


def rows_of(photos, row, header="path,label,split"):
    """Write a labels file with what `row` returns for the class and the number of each image."""
    files = sorted(photos.rglob("*.png"))
    lines = [f"{file.parent.name}/{file.name},{row(file.parent.name, number)}" for number, file in enumerate(files)]
    return header + "\n" + "\n".join(lines) + "\n"


def test_labels_that_training_never_sees_are_refused_by_name(refused, photos, tmp_path):
    parts = ("train", "train", "validation", "database")
    text = rows_of(photos, lambda name, number: f"{name},{'query' if name == 'c' else parts[number % 4]}")
    (tmp_path / "rows.csv").write_text(text)
    message = refused("train", "rows.csv", "--images", "photos", *FEW, "-o", "a.model")
    assert "1 of 3 classes have no training image ('c'): add images" in message
    assert nothing_is_left(tmp_path)


def test_images_without_a_label_beside_others_are_skipped_and_listed(nearbit, photos, tmp_path):
    text = rows_of(photos, lambda name, number: name if number % 3 else "", header="path,label")
    (tmp_path / "rows.csv").write_text(text)
    command = ["train", "rows.csv", "--images", "photos", *FEW, "--validation", "1", "-o", "a.model"]
    status, _, err = nearbit(*command)
    assert status == 0, err
    assert "6 images were skipped" in err
    assert len((tmp_path / "a.model.errors.jsonl").read_text().splitlines()) == 6


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_one_bit_is_trained_for_two_classes(as_json, photos, features, method):
    shutil.rmtree(photos / "c")
    how = FEW if "scratch" in METHODS[method].schedules else features
    about = as_json("train", "photos", *how, "--bits", "1", "--method", method, "-o", "a.model")
    assert about["n_bits"] == 1
    assert is_finite("a.model")
    assert load_model("a.model").encode([photos / "a" / "000.png"]).tolist() in ([[0]], [[128]])


@pytest.mark.parametrize("method", METHODS)
def test_one_bit_for_three_classes_is_refused_or_shares_words_as_documented(
    nearbit, photos, tmp_path, features, method
):
    how = FEW if "scratch" in METHODS[method].schedules else features
    status, _, err = nearbit("train", "photos", *how, "--bits", "1", "--method", method, "-o", "a.model")
    if METHODS[method].make_centers is None:
        assert status == 0, err
        assert load_model("a.model").record["certificate"] is None
    elif method in ("csq", "orthohash", "dpn", "ics", "dcwh", "idcwh"):
        assert status == 0
        assert load_model("a.model").record["certificate"]["min_distance"] == 0
    else:
        assert status == 2
        assert err == "nearbit: 3 classes need 3 distinct words, but 1 bits have only 2: use at least 2 bits\n"
        assert nothing_is_left(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("method", BASELINES)
def test_one_bit_of_a_baseline(as_json, refused, photos, features, method):
    command = ["train", "photos", *features, "--bits", "1", "--method", method, "-o", "a.model"]
    if method == "label":
        assert "3 classes need 3 distinct words" in refused(*command)
    else:
        assert as_json(*command)["n_bits"] == 1
        assert is_finite("a.model")


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (["1e30", "--batch-size", "4"], r"the loss became (nan|inf) in epoch 1, step 2: expected a finite number; "),
        (["1e30"], "an output for train images became not finite: "),  # of one step, which leaves finite weights
        (["3e38"], "a weight became not finite in epoch 1: "),
    ],
)
def test_what_is_not_finite_is_never_a_model(refused, photos, tmp_path, more, what):
    message = refused("train", "photos", *FEW, "--learning-rate", *more, "-o", "a.model")
    rate = r"lower the learning rate \(now [13]e\+3[08]\); no model was saved"
    assert re.match(f"nearbit: {what}{rate}", message), message
    assert nothing_is_left(tmp_path)


def test_a_network_of_huge_weights_is_no_model_where_nothing_validates(refused, photos, tmp_path):
    split = ["--train", "rest", "--query", "1", "--database", "1"]
    command = [*FEW, *split, "--select", "last", "--batch-size", "50", "--learning-rate", "1e38"]
    assert "an output for train images became not finite" in refused("train", "photos", *command, "-o", "a.model")
    assert nothing_is_left(tmp_path)


def test_too_little_memory_anywhere_in_training_is_one_line(refused, photos, tmp_path, monkeypatch):
    def greedy(*given, **named):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    with monkeypatch.context() as patch:
        patch.setattr("nearbit.networks.backbones.SmallCNN.forward", greedy)
        message = refused("train", "photos", *FEW, "-o", "a.model")
        assert "too little memory for batches of 9 images; lower the batch size (--batch-size)" in message
    monkeypatch.setattr("nearbit.training.context.RunContext.network", greedy)
    for regime in ("auto", "two-step"):
        message = refused("train", "photos", *FEW, "--regime", regime, "-o", "a.model")
        assert "the device has too little memory for this network" in message
    assert nothing_is_left(tmp_path)


def test_a_refusal_to_overwrite_names_what_differs(refused, place):
    base = ["train", "photos", *TINY, "-o", "a.model"]
    assert "holds another model (crh, 12 bits), with seed 0 instead of 1, another split: choose" in refused(
        *base, "--seed", "1"
    )
    assert "with bits 12 instead of 16: choose" in refused(*base, "--bits", "16")
    assert "with method crh instead of csq, bits 12 instead of 16: choose" in refused(
        *base, "--method", "csq", "--bits", "16"
    )
    assert "with margin 0.2 instead of 0.3: choose" in refused(*base, "--option", "margin=0.3")
    assert "with learning_rate its default instead of 0.5: choose" in refused(*base, "--learning-rate", "0.5")
    assert "with precision float32 instead of bfloat16: choose" in refused(*base, "--precision", "bfloat16")
    assert "with precision auto instead of float32: choose" in refused(*base, "--precision", "float32")
    (place / "photos" / "a" / "000.png").unlink()
    assert "another split, other images or labels: choose" in refused(*base)


@pytest.mark.parametrize("option", ["select=validation", "augment=none", "epochs=5", "precision=float32", "views=1",
                                    "tensorboard=logs", "batch-size=8"])  # fmt: skip
def test_an_option_that_does_nothing_for_a_baseline_is_refused_even_at_its_default(refused, photos, features, option):
    name, _, value = option.partition("=")
    command = ["train", "photos", *features, "--method", "itq", "-o", "a.model", f"--{name}", value]
    assert f"--{name} would do nothing for itq, which trains no hash network: leave it out" in refused(*command)


CLOSED_FORMS = [name for name, baseline in BASELINES.items() if not baseline.trains_classifier]


@pytest.mark.parametrize("method", CLOSED_FORMS)
def test_figures_of_epochs_are_refused_by_what_has_none(refused, photos, features, tmp_path, method):
    command = ["train", "photos", *features, "--method", method, "-o", "a.model", "--tensorboard", "logs"]
    why = f"--tensorboard would do nothing for {method}, which trains no hash network: leave it out"
    assert why in refused(*command)
    assert nothing_is_left(tmp_path)


def test_figures_of_epochs_are_refused_where_auto_comes_to_a_closed_form(refused, photos, features, tmp_path):
    sizes = ["--train", "2", "--validation", "1", "--query", "1", "--database", "1"]
    command = ["train", "photos", *features, *sizes, "--bits", "4", "-o", "a.model", "--tensorboard", "logs"]
    assert "--tensorboard would do nothing for ridge and itq, which train no hash network" in refused(*command)
    assert nothing_is_left(tmp_path)


@pytest.mark.parametrize("more", [["--method", "label", "--bits", "4"], ["--method", "itq", "--bits", "4", *TUNED]])
def test_figures_of_epochs_are_those_of_a_classifier_too(as_json, photos, features, tmp_path, more):
    pytest.importorskip("tensorboard")
    as_json("train", "photos", *features, *more, "-o", "a.model", "--tensorboard", "logs")
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["tuning" if "itq" in more else "classifier"]


@pytest.mark.slow
def test_options_of_its_classifier_are_for_the_label_code(as_json, refused, photos, features):
    command = ["train", "photos", *features, "--method", "label", "--bits", "4", "-o", "a.model"]
    assert "--select would do nothing for label" in refused(*command, "--select", "last")
    assert as_json(*command, "--batch-size", "8", "--option", "classifier_epochs=1")["method"] == "label"


@pytest.mark.slow
def test_precision_and_figures_for_tensorboard(as_json, photos, tmp_path):
    pytest.importorskip("tensorboard")
    command = ["train", "photos", *FEW, "--bits", "12", "--precision", "bfloat16", "--tensorboard", "logs", "-o"]
    as_json(*command, "a.model")
    described = json.loads((tmp_path / "a.model" / "bundle.json").read_text())["record"]
    assert (described["precision"], described["options"]["precision"], described["processes"]) == ("bfloat16",) * 2 + (
        1,
    )
    assert len(list((tmp_path / "logs" / "linear").glob("events*"))) == 1


def test_without_tensorboard_nothing_is_trained(refused, photos, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    message = refused("train", "photos", *FEW, "--tensorboard", "logs", "-o", "a.model")
    assert "--tensorboard needs the package tensorboard" in message
    assert nothing_is_left(tmp_path)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--only", "centers", "--tensorboard", "logs"], "--only centers stops before: leave it out"),
        (["--option", "margin=1", "--option", "margin=2"], "the option margin of the method is given twice"),
    ],
)
def test_options_that_would_be_passed_over_are_refused(refused, photos, tmp_path, more, message):
    assert message in refused("train", "photos", *FEW, "-o", "a.npy", *more)
    assert not (tmp_path / "logs").exists()


def test_a_model_that_cannot_be_written_says_where_its_checkpoint_stays(nearbit, tmp_path, monkeypatch):
    def full(self, path, **also):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "photos", per_class=10)
    monkeypatch.setattr("nearbit.training.trainer.CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr("nearbit.model.bundle.Model.save", full)
    train = (
        "train",
        "photos",
        "--method",
        "csq",
        "--bits",
        "12",
        "--epochs",
        "1",
        "--image-size",
        "8",
        "-o",
        "m.model",
    )
    status, _, err = nearbit(*train)
    assert status == 2
    assert "m.model: No space left on device; make room there, or choose another place" in err
    assert "(What was trained so far stays in m.model.checkpoint: the same command goes on from there.)" in err
    assert list((tmp_path / "m.model.checkpoint").iterdir())
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert nearbit(*train)[0] == 0
    assert not (tmp_path / "m.model.checkpoint").exists()


def test_evaluate_shows_what_the_features_give_without_codes(as_json, nearbit, photos, features):
    as_json("train", "photos", *features, "--method", "itq", "--bits", "4", "-o", "a.model")
    found = as_json("evaluate", "a.model", "photos", "--device", "cpu")["reference"]
    status, out, _ = nearbit("evaluate", "a.model", "photos", "--device", "cpu")
    assert status == 0
    for label, figure, share in (
        ("float features, cosine", "float_cosine_map", "kept_share"),
        ("linear probe, cosine", "linear_probe_map", "probe_kept_share"),
    ):
        (line,) = [line for line in out.splitlines() if line.startswith(label)]
        kept = [f"{found[name]:.1%}" for name in (share, f"asymmetric_{share}")]
        assert line.removeprefix(label).split() == [f"{found[figure]:.4f}", *kept]
    assert all(f"advice: {sentence}" in out.splitlines() for sentence in found["advice"])
    as_json("train", "photos", *FEW, "--bits", "4", "-o", "b.model")
    assert as_json("evaluate", "b.model", "photos", "--device", "cpu")["reference"] is None
    assert "float features" not in nearbit("evaluate", "b.model", "photos", "--device", "cpu")[1]


def test_the_backbone_of_a_trained_model_is_taken_from_its_folder(as_json, refused, nearbit, photos, tmp_path):
    as_json("train", photos, *TINY, "--method", "csq", "-o", tmp_path / "first.model")
    again = ("--method", "csq", "--backbone", f"model:{tmp_path / 'first.model'}", "--bits", "8", "--device", "cpu")
    as_json("train", photos, *again, "--epochs", "2", "-o", tmp_path / "second.model")
    first, second = (load_model(tmp_path / name).network.backbone for name in ("first.model", "second.model"))
    assert torch.equal(next(iter(second.parameters())), next(iter(first.parameters())))
    said = refused("train", photos, *again, "--seed", "1", "-o", tmp_path / "third.model")
    assert "was trained on" in said
    assert not (tmp_path / "third.model").exists()
    assert "model:FOLDER" in " ".join(nearbit("train", "--help")[1].split())
