"""Short numbers while training: near float32, losses in float32, nothing infinite kept, resumed to the last bit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from same_models import assert_same

from nearbit.errors import InputError, TrainingError
from nearbit.methods import CRH, CSQ
from nearbit.training import TrainOptions, plan, trainer
from nearbit.training.options import resolve_precision
from tiny_data import tiny_dataset, tiny_split

SHORT = ("bfloat16", "float16")


def losses_of(model):
    return np.array([epoch["loss"] for epoch in model.record["history"]])


@pytest.mark.parametrize("precision", SHORT)
def test_short_numbers_train_nearly_what_float32_trains(run, precision):
    whole, short = run("csq"), run("csq", precision=precision)
    assert all(value.dtype in (torch.float32, torch.int64) for value in short.network.state_dict().values())
    assert all(bool(torch.isfinite(value).all()) for value in short.network.state_dict().values())
    assert losses_of(short)[0] == pytest.approx(losses_of(whole)[0], rel=0.005)
    assert np.allclose(losses_of(short), losses_of(whole), rtol=0.2)
    assert not np.array_equal(losses_of(short), losses_of(whole))  # it is not float32 under another name
    assert (whole.record["precision"], short.record["precision"]) == ("float32", precision)


@pytest.mark.parametrize("precision", SHORT)
def test_outputs_reach_the_loss_in_float32_and_were_short_before(run, precision):
    seen = []

    def watched(outputs, *rest):
        seen.append((outputs.dtype, torch.is_autocast_enabled("cpu"), bool((outputs == short(outputs)).all())))
        return CSQ.loss(outputs, *rest)

    def short(outputs):
        return outputs.to(getattr(torch, precision)).float()

    run(replace(CSQ, loss=watched), precision=precision)
    assert set(seen) == {(torch.float32, False, True)}


def test_a_resumed_float16_run_has_its_factor_again_and_ends_in_the_same_model(run, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    states = []
    monkeypatch.setattr(trainer.Trainer, "_epoch", watching(trainer.Trainer._epoch, states))
    undisturbed = run("crh", precision="float16")
    before = states.copy()
    assert before[2] != before[0]  # the factor has moved: starting anew would be seen

    def interrupt(stage, done, total):
        if done == 3:
            raise KeyboardInterrupt("after three")

    with pytest.raises(KeyboardInterrupt, match="after three"):
        run("crh", precision="float16", checkpoint=tmp_path, progress=interrupt)
    states.clear()
    assert_same(run("crh", precision="float16", checkpoint=tmp_path), undisturbed)
    assert states == before[2:]


def watching(train_epoch, states):
    """Return `_epoch`, which notes the state of the scaler as each epoch begins."""

    def watched(self, state, stepper):
        states.append(stepper.scaler.state_dict())
        train_epoch(self, state, stepper)

    return watched


def test_a_float16_gradient_that_stays_infinite_is_an_error(run):
    broken = replace(CRH, loss=lambda outputs, *rest: (0 * outputs).sqrt().sum())
    with pytest.raises(TrainingError, match=r"a gradient became nan .*--precision float32 \(now float16\)"):
        run(broken, precision="float16", epochs=10)  # 65,536 is halved 16 times


def test_precision_is_part_of_the_key_and_auto_is_what_it_means():
    dataset = tiny_dataset()
    keys = {
        asked: plan(
            dataset, tiny_split(dataset), options=TrainOptions(image_size=8, device="cpu", precision=asked)
        ).context.key()
        for asked in ("float32", "bfloat16", "float16")
    }
    assert len(set(keys.values())) == 3


@pytest.mark.parametrize(
    ("asked", "device", "regime", "has_bfloat16", "expected"),
    [
        ("auto", "cpu", "scratch", True, "float32"),
        ("auto", "cuda", "scratch", True, "bfloat16"),
        ("auto", "cuda", "fine-tuned", True, "bfloat16"),
        ("auto", "cuda", "frozen", True, "float32"),
        ("auto", "cuda", "scratch", False, "float32"),
        ("auto", "mps", "scratch", True, "float32"),
        ("bfloat16", "cpu", "scratch", False, "bfloat16"),
        ("bfloat16", "cuda", "frozen", True, "bfloat16"),
        ("float16", "cuda", "scratch", False, "float16"),
        ("float32", "cuda", "scratch", True, "float32"),
    ],
)
def test_which_precision_is_meant(monkeypatch, asked, device, regime, has_bfloat16, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: has_bfloat16)
    assert resolve_precision(asked, torch.device(device), regime) == expected


def test_bfloat16_needs_a_gpu_that_has_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    with pytest.raises(InputError, match="this GPU has no bfloat16: take --precision float16 or float32"):
        resolve_precision("bfloat16", torch.device("cuda"), "scratch")


def test_an_unknown_precision_is_refused():
    with pytest.raises(InputError, match="precision must be one of auto, float32, bfloat16, float16, not 'half'"):
        TrainOptions(precision="half")
