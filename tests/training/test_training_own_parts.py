"""Methods with parts of their own (weights of the loss, heads, views): they resume to the last bit, and save."""

import pytest
from same_models import assert_same

from nearbit.errors import InputError
from nearbit.training import trainer


class Broken(Exception):
    """Raised from the progress callback."""


def assert_resumes(run, tmp_path, method, regime="frozen", **given):
    """Train undisturbed, and with an interruption after the third of four epochs; return the model."""

    def stop(stage, done, total):
        if stage.startswith("Training") and done == 3:
            raise Broken(stage)

    undisturbed = run(method, regime, epochs=4, **given)
    with pytest.raises(Broken, match="Training"):
        run(method, regime, epochs=4, checkpoint=tmp_path, progress=stop, **given)
    assert_same(run(method, regime, epochs=4, checkpoint=tmp_path, **given), undisturbed)
    return undisturbed


@pytest.fixture(autouse=True)
def every_epoch_is_kept(monkeypatch):
    """Write a checkpoint after each epoch."""
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)


@pytest.mark.parametrize("surrogate", ["joint", "alternating", "random", "independent"])
def test_lbhc_resumes_with_its_surrogate_which_is_no_part_of_the_model(run, tmp_path, surrogate):
    options = {"surrogate": surrogate, "permute_every": 2, "flips": 1}
    model = assert_resumes(run, tmp_path, "lbhc", head="linear", method_options=options)
    assert not any("mapper" in name for name in model.network.state_dict())


def test_more_flips_than_bits_are_refused_before_training(run):
    with pytest.raises(InputError, match="flips must be at most the 12 bits of a code, not 13"):
        run("lbhc", method_options={"flips": 13})
