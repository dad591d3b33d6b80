"""Training whose passes torch compiles: the model folder, its names and its resuming are as without."""

import pytest
import torch
from interrupted import Interrupted, stop_after
from same_models import assert_same
from torch import nn
from torch._dynamo.utils import counters

from nearbit.cli.main import run as command
from nearbit.errors import InputError, TrainingError
from nearbit.model.bundle import load_model
from nearbit.training import Processes, TrainOptions, compiling, plan, trainer
from nearbit.training.compiling import check_compiler, compiled_forward, explained
from tiny_data import tiny_dataset, tiny_split

CPU = torch.device("cpu")


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch's own, while inductor traces
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_a_compiled_run_is_the_plain_one_but_for_roundings_and_resumes(run, tmp_path, monkeypatch, backend):
    monkeypatch.setattr(compiling, "BACKEND", backend)  # without a C++ compiler in the quick one
    monkeypatch.setattr("nearbit.training.context.check_compiler", lambda device: None)
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    plain = run("csq", "scratch", epochs=3)
    counters.clear()
    compiled = run("csq", "scratch", epochs=3, compile=True)
    assert counters["stats"]["unique_graphs"] == 2  # of whole batches, and of the last one: neither is in parts
    losses = [[epoch["loss"] for epoch in model.record["history"]] for model in (plain, compiled)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert [*compiled.network.state_dict()] == [*plain.network.state_dict()]
    assert (plain.record["options"].get("compile"), compiled.record["options"]["compile"]) == (None, True)
    assert plain.record["run_key"] != compiled.record["run_key"]
    with pytest.raises(Interrupted, match="Training"):
        run("csq", "scratch", epochs=3, compile=True, checkpoint=tmp_path / "kept", progress=stop_after(2))
    assert_same(run("csq", "scratch", epochs=3, compile=True, checkpoint=tmp_path / "kept"), compiled)
    compiled.save(tmp_path / "a.model")
    assert load_model(tmp_path / "a.model").model_id == compiled.model_id


def test_many_runs_of_one_process_are_compiled(run, monkeypatch):
    monkeypatch.setattr(compiling, "BACKEND", "eager")
    monkeypatch.setattr("nearbit.training.context.check_compiler", lambda device: None)
    for n_bits in (12, 13, 14, 15, 16, 17):  # of two sizes of a batch each: torch takes eight variants of a module
        assert run("csq", "scratch", epochs=1, n_bits=n_bits, compile=True).n_bits == n_bits


def test_too_many_variants_within_a_run_are_explained():
    forward = compiled_forward(nn.Identity())
    said = r"torch cannot compile this network \(.+\): leave --compile out"
    with pytest.raises(TrainingError, match=said), explained():
        _ = [forward(torch.zeros(size)) for size in range(2, 20)]


def test_a_network_that_cannot_be_compiled_whole_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))

    class Looks(nn.Module):
        def forward(self, values):
            return values + 1 if float(values.sum()) > 0 else values - 1

    forward = compiled_forward(Looks())
    said = r"torch cannot compile this network \(.+\): leave --compile out"
    with pytest.raises(TrainingError, match=said), explained():
        forward(torch.ones(3))


def test_only_what_compiling_raises_is_explained():
    with pytest.raises(ZeroDivisionError, match="mine"), explained():
        raise ZeroDivisionError("mine")


def test_compiling_is_refused_where_it_would_do_nothing_or_is_not_possible(run, monkeypatch):
    with pytest.raises(InputError, match=r"compile is for a network that is trained whole.*leave compile"):
        run("csq", "frozen", compile=True)
    dataset = tiny_dataset()
    options = TrainOptions(image_size=8, device="cpu", compile=True)
    monkeypatch.setattr("nearbit.training.context.current_processes", lambda: Processes(rank=0, count=2))
    with pytest.raises(InputError, match=r"several processes train cannot be compiled.*or train in one process"):
        plan(dataset, tiny_split(dataset), method="csq", options=options)


def test_a_compiler_that_is_missing_is_an_error_before_training(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("CXX", " no-such-compiler")
    with pytest.raises(InputError, match=r"needs a C\+\+ compiler, and there is no no-such-compiler: install one"):
        check_compiler(CPU)
    arguments = ["--method", "csq", "--device", "cpu", "--bits", "12", "--backbone", "small", "--compile"]
    assert command(["train", "digits", *arguments, "-o", str(tmp_path / "a.model"), "--json"]) == 2
    assert "there is no no-such-compiler" in capsys.readouterr().err
    assert [*tmp_path.iterdir()] == []
    monkeypatch.setattr(compiling.shutil, "which", lambda name: f"/bin/{name}")
    check_compiler(CPU)


def test_each_kind_of_device_has_its_own_need(monkeypatch):
    monkeypatch.setattr(compiling.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(compiling.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"compiling for a GPU .* needs triton"):
        check_compiler(torch.device("cuda", 0))
    monkeypatch.setattr(compiling.importlib.util, "find_spec", lambda name: name)
    check_compiler(torch.device("cuda", 0))
    with pytest.raises(InputError, match="networks are compiled for cpu and cuda, not for mps"):
        check_compiler(torch.device("mps"))
