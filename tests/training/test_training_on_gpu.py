"""What training and encoding do on a GPU; left out, and said so, where there is none.

`NEARBIT_TEST_DEVICE=cpu` runs these tests on the CPU, which says whether the tests themselves are right.
"""

import os

import numpy as np
import pytest
import torch

from nearbit.errors import InputError
from nearbit.methods import BASELINES, METHODS
from nearbit.training import Callbacks, trainer
from nearbit.training.compiling import check_compiler
from tiny_data import tiny_dataset


@pytest.fixture(scope="module")
def device():
    name = os.environ.get("NEARBIT_TEST_DEVICE", "cuda")
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU here: training and encoding on one are NOT tested (NEARBIT_TEST_DEVICE=cpu runs the tests)")
    return name


def kinds(method):
    return [regime for regime in ("scratch", "frozen") if regime in method.schedules]


@pytest.mark.parametrize(
    ("name", "regime"), [(name, regime) for name, method in METHODS.items() for regime in kinds(method)]
)
def test_every_method_trains(run, device, name, regime):
    model = run(name, regime, epochs=2, device=device)
    assert model.record["device"].startswith(device)
    assert np.isfinite([epoch["loss"] for epoch in model.record["history"]]).all()


@pytest.mark.parametrize("name", [*BASELINES, "auto"])
def test_closed_forms_are_measured_on_validation_images(run, device, name):
    usual = {"epochs": None, "batch_size": None, "learning_rate": None, "validate_every": 5, "hidden": 1024}
    model = run(name, "frozen", n_bits=8, device=device, **usual)
    assert model.record["validation_map"] is not None


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_head_of_experts_in_every_precision(run, device, precision):
    model = run("mlh", epochs=2, device=device, precision=precision, method_options={"experts": 4})
    assert model.record["precision"] == precision


@pytest.mark.parametrize(
    "options",
    [{"adversarial": 8.0, "adversarial_steps": 1}, {"candidate_weight": 0.1, "radius_weight": 0.1}, {"workers": 2}],
    ids=["adversarial", "index", "processes"],
)
def test_what_goes_beside_a_method(run, device, options):
    assert run("csq", epochs=2, device=device, **options).record["selected_epoch"] >= 1


@pytest.mark.slow
def test_compiled(run, device):
    try:
        check_compiler(torch.device(device))
    except InputError as error:
        pytest.skip(str(error))
    assert run("crh", epochs=2, device=device, compile=True).record["options"]["compile"]


def test_an_interrupted_training_goes_on(run, device, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)

    def end(name, figures):
        if figures["epoch"] == 3:
            raise KeyboardInterrupt("pressed")

    heard = []
    with pytest.raises(KeyboardInterrupt, match="pressed"):
        run("crh", epochs=4, device=device, checkpoint=tmp_path, callbacks=Callbacks(epoch=end))
    resumed = Callbacks(resumed=lambda stage, done, epochs: heard.append((done, epochs)))
    model = run("crh", epochs=4, device=device, checkpoint=tmp_path, callbacks=resumed)
    assert heard == [(2, 4)]
    assert [epoch["epoch"] for epoch in model.record["history"]] == [1, 2, 3, 4]


@pytest.mark.parametrize("regime", ["scratch", "frozen"])
def test_codes_are_those_of_the_cpu(run, device, regime):
    model, dataset = run("csq", regime, device=device), tiny_dataset()
    there, here = (model.encode_dataset(dataset, device=name).outputs for name in (device, "cpu"))
    assert np.allclose(there, here, rtol=1e-3, atol=1e-4 * np.abs(here).max())
    assert {str(value.device) for value in model.network.state_dict().values()} == {"cpu"}
