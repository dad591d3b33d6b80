"""A comparison: which runs are made, what each leaves, how it goes on, and what it refuses."""

import json
import os
import signal
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from nearbit.cli.commands.compare import spread
from nearbit.compare.bench import Bench, Work, options_for
from nearbit.compare.findings import find
from nearbit.compare.folder import Cell, read_cell, read_folder
from nearbit.compare.run import Grid, compare
from nearbit.compare.specs import parse_spec
from nearbit.compare.tables import quality_table
from nearbit.datasets import SplitSizes, make_split
from nearbit.errors import DataError, InputError
from nearbit.files.writing import write_json
from nearbit.methods import METHODS
from nearbit.networks import ResNet
from nearbit.training import TrainOptions
from tiny_data import tiny_dataset, tiny_split

OPTIONS = TrainOptions(image_size=8, epochs=2, batch_size=8, validate_every=1, device="cpu")


def split_of(dataset, seed):
    return tiny_split(dataset, seed=seed)


@pytest.fixture
def work(tmp_path):
    """Tiny data, a small network from scratch, two epochs."""
    return Work(load=tiny_dataset, split=split_of, options=OPTIONS, folder=tmp_path / "out", cache=None)


@pytest.fixture
def feature_options(tmp_path):
    """Frozen features of a ResNet-18 whose random weights stand for pretrained ones."""
    path = tmp_path / "resnet18.safetensors"
    torch.manual_seed(1)
    save_file(ResNet("resnet18").state_dict(), path)
    return TrainOptions(backbone="resnet18", weights=path, image_size=16, device="cpu", batch_size=8)


def stamps(folder):
    return {path.name: path.stat().st_mtime_ns for path in (folder / "cells").iterdir()}


def facts_but_times(folder):
    """Return every cell's JSON without what differs between two runs of the same."""
    facts = {result.cell.name: dict(result.facts) for result in read_folder(folder).results}
    for one in facts.values():
        for name in ("seconds", "peak_mb"):
            one.pop(name, None)
    return facts


def test_every_cell_of_the_grid_is_run_and_its_files_agree(work):
    grid = Grid(methods=("crh",), bits=(12,), heads=("linear", "hidden"), seeds=(3, 4))
    lines = []
    found = compare(work, grid, processes=1, say=lines.append)
    assert len(found.results) == len(lines) == 4
    assert len({result.cell for result in found.results}) == 4
    for result in found.results:
        assert result.status == "done"
        arrays = result.arrays()
        report = result.facts["report"]
        assert arrays["average_precision"].shape == (report["n_query"],)
        np.testing.assert_allclose(arrays["average_precision"].mean(), report["tie_aware_map"], rtol=1e-12)
        assert arrays["centers"].shape == (3, result.cell.n_bits)
        assert result.facts["head"] == result.cell.head
        assert result.facts["queries_seen_in_training"] == 0
    hashes = {result.cell.seed: result.facts["split_hash"] for result in found.results}
    assert hashes[3] != hashes[4], "a seed decides the split"


def without_labels():
    return replace(tiny_dataset(), labels=np.zeros((30, 3), np.bool_))


def test_what_cannot_be_measured_is_refused_before_anything_is_trained(work):
    grid = Grid(methods=("csq", "itq"), bits=(12,), seeds=(0,))
    with pytest.raises(DataError, match=r"tiny: no image has a label, so there is nothing to compare by"):
        compare(replace(work, load=without_labels, split=lambda dataset, seed: make_split(dataset, seed=seed)), grid)
    sizes = SplitSizes(query=0.01)
    with pytest.raises(DataError, match=r"no image is in query, .* \(no image is left for query: .*give query a size"):
        compare(replace(work, split=lambda dataset, seed: make_split(dataset, seed=seed, sizes=sizes)), grid)
    assert not work.folder.exists()


@pytest.mark.parametrize(
    "pair", [("csq", "csq:quantization_weight=0.05"), ("crh:margin=0.3,scale=3", "crh:scale=3,margin=0.3")]
)
def test_methods_that_mean_the_same_are_refused(pair):
    with pytest.raises(InputError, match=r"the methods of a comparison must differ, and .* are the same"):
        Grid(methods=pair, bits=(12,), seeds=(0,))
    assert Grid(methods=(pair[0], "crh:margin=0.4"), bits=(12,), seeds=(0,)).methods[0] == pair[0]


def test_a_method_that_a_folder_holds_under_another_text_is_refused(work):
    compare(work, Grid(methods=("csq",), bits=(12,), seeds=(0,)))
    with pytest.raises(InputError, match=r"holds csq, which is the same as csq:quantization_weight=0\.05: name it so"):
        compare(work, Grid(methods=("csq:quantization_weight=0.05",), bits=(12,), seeds=(0,)))


@pytest.mark.parametrize("nested", ["8,16", "[8,16]"])
def test_an_option_of_several_values_is_read_whole(nested):
    spec = parse_spec(f"ech:nested={nested},members=2")
    assert spec.method.with_options(spec.values) == METHODS["ech"].with_options({"nested": (8, 16), "members": 2})


def test_a_backbone_of_the_same_name_with_other_weights_is_refused(work):
    torch.manual_seed(0)
    grid, other = Grid(methods=("itq",), bits=(4,), seeds=(0,)), Grid(methods=("pca",), bits=(4,), seeds=(0,))

    def with_backbone(seed):
        torch.manual_seed(seed)
        module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 16))
        return replace(work, options=replace(OPTIONS, backbone=module, regime="frozen"))

    compare(with_backbone(0), grid)
    compare(with_backbone(0), other)
    with pytest.raises(InputError, match=r"holds a comparison with another backbone: .* has other weights now"):
        compare(with_backbone(1), other)
    assert read_folder(work.folder).about["references"].keys() == {"0"}


def test_repeated_comparison_keeps_what_is_done_and_adds_what_is_new(work):
    compare(work, Grid(methods=("crh",), bits=(8,), seeds=(0,)), processes=1)
    before = stamps(work.folder)
    found = compare(work, Grid(methods=("csq",), bits=(12,), seeds=(0,)), processes=1)
    assert {name: stamps(work.folder)[name] for name in before} == before
    assert found.about["methods"] == ["crh", "csq"]
    assert found.about["bits"] == [8, 12]
    status = {(result.cell.method, result.cell.n_bits): result.status for result in found.results}
    assert status == {("crh", 8): "done", ("crh", 12): "missing", ("csq", 8): "missing", ("csq", 12): "done"}


def test_cell_of_other_options_is_run_again(work):
    compare(work, Grid(methods=("crh",), bits=(8,), seeds=(0,)), processes=1)
    path = work.folder / "cells" / "crh-auto-8-seed0.json"
    facts = json.loads(path.read_text())
    write_json(path, facts | {"key": "of an older nearbit"})
    outcome, _ = Bench(work).run(Cell(method="crh", head="auto", n_bits=8, seed=0))
    assert outcome == "done"
    assert json.loads(path.read_text())["key"] == facts["key"]


def test_comparison_of_other_options_is_refused_by_name(work):
    compare(work, Grid(methods=("crh",), bits=(8,), seeds=(0,)), processes=1)
    other = replace(work, options=replace(OPTIONS, epochs=1))
    with pytest.raises(InputError, match=r"another train options \(epochs\): choose another -o"):
        compare(other, Grid(methods=("crh",), bits=(8,), seeds=(0,)), processes=1)
    with pytest.raises(InputError, match=r"another dataset \(.*fingerprint"):
        compare(
            replace(work, load=partial(tiny_dataset, seed=1)),
            Grid(methods=("crh",), bits=(8,), seeds=(0,)),
            processes=1,
        )


def test_comparison_from_before_statistics_were_kept_is_not_gone_on_with(work, feature_options):
    weights = load_file(feature_options.weights)
    save_file(
        {name: value + 0.1 if "running" in name else value for name, value in weights.items()}, feature_options.weights
    )
    tuned = replace(work, options=replace(feature_options, regime="fine-tuned", epochs=1))
    grid = Grid(methods=("csq",), bits=(8,), seeds=(0,))
    assert compare(tuned, grid, processes=1).about["train_options"]["batch_norm"] == "fixed"
    path = work.folder / "comparison.json"
    about = json.loads(path.read_text())
    del about["train_options"]["batch_norm"]
    write_json(path, about)
    with pytest.raises(InputError, match=r"another train options \(batch_norm\): choose another -o"):
        compare(tuned, grid, processes=1)


def test_folder_with_other_things_is_left_alone(work):
    work.folder.mkdir()
    (work.folder / "photo.jpg").write_bytes(b"mine")
    with pytest.raises(InputError, match="holds other things than a comparison"):
        compare(work, Grid(methods=("crh",), bits=(8,), seeds=(0,)), processes=1)
    assert [path.name for path in work.folder.iterdir()] == ["photo.jpg"]


def test_failing_cell_says_why_and_the_others_go_on(work):
    found = compare(work, Grid(methods=("itq", "crh"), bits=(8,), seeds=(0,)), processes=1)
    status = {result.cell.method: result for result in found.results}
    assert status["crh"].status == "done"
    assert status["itq"].status == "failed"
    assert "itq makes codes of frozen features" in status["itq"].facts["error"]
    assert status["itq"].figure("tie_aware_map") is None


def test_a_failure_before_a_cell_is_known_to_stand_leaves_what_was_found(work, monkeypatch):
    cell = Cell(method="csq", head="auto", n_bits=8, seed=0)
    (work.folder / "cells").mkdir(parents=True)
    assert Bench(work).run(cell)[0] == "done"
    found = read_cell(work.folder, cell)

    def gone(*_, **__):
        raise OSError("the weights are gone for a moment")

    monkeypatch.setattr("nearbit.compare.bench.plan", gone)
    assert Bench(work).run(cell) == ("failed", "OSError: the weights are gone for a moment")
    assert read_cell(work.folder, cell).facts == found.facts


def test_a_failure_replaces_what_another_run_found(work, monkeypatch):
    cell = Cell(method="csq", head="auto", n_bits=8, seed=0)
    (work.folder / "cells").mkdir(parents=True)
    assert Bench(work).run(cell)[0] == "done"
    path = work.folder / "cells" / f"{cell.name}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"key": "another"}))
    monkeypatch.setattr("nearbit.compare.bench.evaluate", lambda *_, **__: 1 / 0)
    assert Bench(work).run(cell)[0] == "failed"
    assert read_cell(work.folder, cell).status == "failed"


def test_failed_cell_is_tried_again(work, monkeypatch):
    cell = Cell(method="csq", head="auto", n_bits=8, seed=0)
    (work.folder / "cells").mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr("nearbit.compare.bench.evaluate", lambda *_, **__: 1 / 0)
        assert Bench(work).run(cell) == ("failed", "ZeroDivisionError: division by zero")
    outcome, _ = Bench(work).run(cell)
    assert outcome == "done"


def test_models_are_kept_where_asked(work):
    from nearbit import load_model

    compare(replace(work, keep_models=True), Grid(methods=("crh",), bits=(8,), seeds=(0,)), processes=1)
    assert load_model(work.folder / "models" / "crh-auto-8-seed0.model").n_bits == 8


def test_method_with_options_is_another_method(work):
    grid = Grid(methods=("csq", "csq:quantization_weight=0.5"), bits=(8,), seeds=(0,))
    found = compare(work, grid, processes=1)
    weights = [result.facts["method_options"]["quantization_weight"] for result in found.results]
    assert weights == [0.05, 0.5]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("chr", "Did you mean 'crh'"),
        ("crh:margim=1", "Did you mean 'margin'"),
        ("crh:margin", "must read NAME:OPTION=VALUE"),
        ("crh:margin=1,margin=0.5", "names one twice"),
        ("crh:", "must read NAME:OPTION=VALUE"),
        ("crh:margin=-1", "margin must be a number of at least 0"),
    ],
)
def test_misspelt_methods_are_refused(spec, message):
    with pytest.raises(InputError, match=message):
        parse_spec(spec)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"methods": ()}, "needs at least one of its methods"),
        ({"bits": (8, 8)}, "bits of a comparison must differ"),
        ({"heads": ("wide",)}, "a head must be one of auto, linear, hidden"),
        ({"bits": (0,)}, "bits must be a whole number of at least 1, not 0"),
    ],
)
def test_grids_that_mean_nothing_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        Grid(**given)


def test_folder_without_a_comparison_is_no_comparison(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_folder(tmp_path)
    write_json(tmp_path / "comparison.json", {"format": "nearbit-comparison", "version": 99})
    with pytest.raises(DataError, match=r"version 99; this nearbit reads up to 1: update nearbit"):
        read_folder(tmp_path)


def test_options_take_several_values_in_a_row():
    arguments = ["photos", "--bits", "16", "32", "--seeds", "3", "--methods", "crh", "-o", "out", "--bits", "64"]
    assert spread(arguments, ("--bits", "--methods")) == [
        "photos", "--bits", "16", "--bits", "32", "--seeds", "3", "--methods", "crh", "-o", "out", "--bits", "64",
    ]  # fmt: skip


@pytest.mark.slow
def test_two_processes_find_what_one_finds(work):
    grid = Grid(methods=("crh", "shc", "itq"), bits=(8,), seeds=(0, 1))
    compare(work, grid, processes=1)
    other = replace(work, folder=work.folder.with_name("other"))
    compare(other, grid, processes=2)
    assert facts_but_times(work.folder) == facts_but_times(other.folder)
    assert len(facts_but_times(work.folder)) == 6


def die(dataset, seed):
    """Stand for a run that the system kills: of seed 1."""
    if seed == 1 and os.environ.get("NEARBIT_TEST_PARENT") != str(os.getpid()):
        os.kill(os.getpid(), signal.SIGKILL)
    return split_of(dataset, seed)


@pytest.mark.slow
def test_killed_process_fails_its_cell_alone(work, monkeypatch):
    monkeypatch.setenv("NEARBIT_TEST_PARENT", str(os.getpid()))
    grid = Grid(methods=("crh",), bits=(8,), seeds=(0, 1, 2))
    found = compare(replace(work, split=die), grid, processes=2)
    status = {result.cell.seed: result.status for result in found.results}
    assert status == {0: "done", 1: "failed", 2: "done"}
    error = next(result.facts["error"] for result in found.results if result.cell.seed == 1)
    assert "ended without a word (exit code -9)" in error


def test_auto_is_compared_by_what_it_chooses(work, feature_options):
    work = replace(work, options=feature_options)
    found = compare(work, Grid(methods=("auto", "itq"), bits=(8,), seeds=(0,)), processes=1)
    status = {result.cell.method: result for result in found.results}
    assert {result.status for result in found.results} == {"done"}
    assert (status["auto"].cell.head, status["itq"].facts["chosen"]) == ("-", "itq")
    chosen = status["auto"].facts["chosen"]
    assert chosen in ("ech", "ridge", "itq")
    again = compare(work, Grid(methods=("auto",), bits=(8,), seeds=(0,)), processes=1)
    assert next(result for result in again.results if result.cell.method == "auto").facts == status["auto"].facts
    notes = quality_table(find(found)).notes
    assert f"auto took {chosen} (1 × 8 bits)." in notes


def test_auto_takes_no_options_in_a_comparison():
    with pytest.raises(InputError, match="auto chooses a method and takes no options, and 'auto:margin=1' has some"):
        Grid(methods=("auto:margin=1",))


def test_a_method_with_a_head_of_its_own_has_no_choice_of_heads(monkeypatch):
    own = replace(METHODS["csq"], name="own", head="hidden")
    monkeypatch.setattr("nearbit.compare.specs.find_method", lambda name: own)
    spec = parse_spec("own")
    assert spec.has_own_head
    cell = Cell(method="own", head="-", n_bits=8, seed=3)
    assert options_for(spec, OPTIONS, cell) == replace(OPTIONS, seed=3)
