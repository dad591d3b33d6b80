"""Two processes that torchrun starts, on the CPU: they train what one trains, go on, and end together."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nearbit.model.bundle import load_model
from tiny_data import write_folder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="torchrun with Gloo is tested on Linux"),
]

HERE = Path(__file__).parent
TRAIN = [
    "train",
    "photos",
    "--device",
    "cpu",
    "--image-size",
    "8",
    "--epochs",
    "4",
    "--bits",
    "12",
    "--batch-size",
    "7",
]
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node")


@pytest.fixture
def photos(tmp_path):
    """A folder of one's own with images of three classes."""
    write_folder(tmp_path / "photos", per_class=12)
    return tmp_path


def started(folder, *command, check=True):
    environment = os.environ | {
        "NEARBIT_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert not check or done.returncode == 0, done.stderr
    return done


def two(folder, *arguments, script=("-m", "nearbit"), check=True):
    return started(folder, *TORCHRUN, "2", *script, *arguments, check=check)


def one(folder, *arguments):
    return started(folder, sys.executable, "-m", "nearbit", *arguments)


def model_in(folder, name):
    model = load_model(folder / name)
    losses = [epoch["loss"] for epoch in model.record["history"]]
    return model, losses


@pytest.mark.parametrize("method", ["crh", "shc", "orthohash"])
def test_two_processes_train_what_one_trains(photos, method):
    out = two(photos, *TRAIN, "--method", method, "-o", "two.model", "--json").stdout
    assert len(out.splitlines()) == 1
    assert json.loads(out)["method"] == method
    one(photos, *TRAIN, "--method", method, "-o", "one.model")
    (several, losses), (single, expected) = model_in(photos, "two.model"), model_in(photos, "one.model")
    assert losses[0] == pytest.approx(expected[0], rel=1e-3)
    assert (several.record["processes"], single.record["processes"]) == (2, 1)
    agreement = np.mean(several.centers.centers == single.centers.centers)  # .5 where they have nothing in common
    same = agreement == 1
    assert same or method != "orthohash", "only centers that follow the signs of outputs may turn on a rounding"
    assert agreement > 0.75, "a rounding turns the centers of a class or two, and not those of most"
    if same:  # else the rest is training towards something else
        assert losses == pytest.approx(expected, rel=0.05)  # roundings differ, and Adam divides small by small
        weights, others = several.network.state_dict(), single.network.state_dict()
        for name, value in weights.items():
            assert np.allclose(value.numpy(), others[name].numpy(), atol=0.03), name
    evaluated = json.loads(one(photos, "evaluate", "two.model", "photos", "--device", "cpu", "--json").stdout)
    assert evaluated["n_bits"] == 12


def test_two_processes_again_are_the_same_to_the_last_bit_and_find_the_model_done(photos):
    two(photos, *TRAIN, "-o", "a.model")
    again = two(photos, *TRAIN, "-o", "a.model")
    assert again.stderr.count("a.model is this very model already") == 1
    two(photos, *TRAIN, "-o", "b.model")
    assert model_in(photos, "a.model")[0].model_id == model_in(photos, "b.model")[0].model_id


def test_two_processes_train_what_was_chosen_on_all_images(photos):
    two(photos, *TRAIN, "-o", "plain.model")
    two(photos, *TRAIN, "--final", "-o", "final.model")
    plain, final = model_in(photos, "plain.model")[0], model_in(photos, "final.model")[0]
    assert final.record["final"]["measured"]["model_id"] == plain.model_id
    assert (final.record["processes"], final.record["n_train"]) == (2, 36)
    assert final.record["schedule"]["epochs"] == plain.record["selected_epoch"]


def test_two_processes_measure_the_queries_together_and_one_writes_it_down(photos):
    two(photos, *TRAIN, "--published-selection", "-o", "a.model")
    model, _ = model_in(photos, "a.model")
    published = model.record["published"]
    assert published["epoch"] == 4  # the only one that is looked at
    evaluated = json.loads(one(photos, "evaluate", "a.model", "photos", "--device", "cpu", "--json").stdout)
    assert published["query_map_of_selected"] == pytest.approx(evaluated["tie_aware_map"], abs=0.05)  # a bit may turn


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("unreadable", "nearbit: a training image cannot be read any more: gone"),
        ("killed", "nearbit: another process of this run ended or no longer answers"),
        ("fault", "ZeroDivisionError: oh"),
    ],
)
def test_a_process_that_fails_ends_all_with_one_error_and_the_run_goes_on(photos, fault, message):
    two(photos, *TRAIN, "-o", "whole.model")
    failed = two(photos, fault, *TRAIN, "-o", "a.model", script=(str(HERE / "several.py"),), check=False)
    assert failed.returncode != 0
    said = [line for line in failed.stderr.splitlines() if line.startswith("nearbit: ")]
    if fault == "killed":
        assert len(said) <= 1  # torchrun may end the other process before it has noticed
        assert all(message in line for line in said)
    else:
        assert failed.stderr.count(message) == 1
        assert len(said) == 1
    assert not (photos / "a.model").exists()
    resumed = two(photos, *TRAIN, "-o", "a.model")
    assert model_in(photos, "a.model")[0].model_id == model_in(photos, "whole.model")[0].model_id
    assert resumed.stderr.count("going on from epoch") == 1
    assert not (photos / "a.model.checkpoint").exists()


def test_small_buckets_of_gradients_train_what_one_exchange_trains_killed_or_not(photos, monkeypatch):
    script, train = (str(HERE / "several.py"),), [*TRAIN, "--method", "greedyhash"]  # its loss has weights
    monkeypatch.setenv("NEARBIT_TEST_BUCKET", str(2**30))
    two(photos, "none", *train, "-o", "one.model", script=script)
    monkeypatch.setenv("NEARBIT_TEST_BUCKET", "50000")  # of 1.3 MB
    two(photos, "killed", *train, "-o", "small.model", script=script, check=False)
    assert not (photos / "small.model").exists()
    resumed = two(photos, "none", *train, "-o", "small.model", script=script)
    assert resumed.stderr.count("going on from epoch") == 1
    assert model_in(photos, "small.model")[0].model_id == model_in(photos, "one.model")[0].model_id


def test_processes_that_are_given_different_seeds_are_refused(photos):
    command = f'exec {sys.executable} -m nearbit {" ".join(TRAIN)} -o a.model --seed "$RANK"'
    (photos / "start.sh").write_text(command)
    failed = two(photos, script=("--no-python", "sh", "start.sh"), check=False)
    said = [line for line in failed.stderr.splitlines() if line.startswith("nearbit: ")]
    assert said == ["nearbit: process 1 would train another run than process 0: give all the same options, images, "
                    "library versions and number of threads"]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--learning-rate", "1e30"), "nearbit: the loss became nan in epoch 1, step 2: expected a finite number"),
        (("--augment", "none", "--views", "2"), "nearbit: cached views are for frozen features"),
    ],
)
def test_an_error_of_both_is_said_once(photos, arguments, message):
    failed = two(photos, *TRAIN, *arguments, "-o", "a.model", check=False)
    said = [line for line in failed.stderr.splitlines() if line.startswith("nearbit: ")]
    assert [line[: len(message)] for line in said] == [message]
    assert not (photos / "a.model").exists()
