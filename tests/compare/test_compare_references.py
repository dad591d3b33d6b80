"""What float features give without codes: once a seed, kept, and shown below the methods."""

import csv
import json
import re
from dataclasses import replace

import pytest
import torch
from cell_files import write_comparison_folder
from safetensors.torch import save_file

from nearbit.compare import references, run
from nearbit.compare.bench import Work
from nearbit.compare.charts import length_charts
from nearbit.compare.findings import find
from nearbit.compare.folder import read_folder
from nearbit.compare.run import Grid, compare
from nearbit.compare.tables import quality_table
from nearbit.compare.write import write_comparison
from nearbit.errors import InputError
from nearbit.evaluation import evaluate
from nearbit.files.locking import _taken
from nearbit.files.writing import write_json
from nearbit.model.bundle import load_model
from nearbit.networks import ResNet
from nearbit.training import TrainOptions
from tiny_data import tiny_dataset, tiny_split

FLOAT, PROBE = "float features, cosine", "linear probe, cosine"


def split_of(dataset, seed):
    return tiny_split(dataset, seed=seed)


@pytest.fixture
def work(tmp_path):
    """Tiny data and frozen features of a ResNet-18 whose random weights stand for pretrained ones."""
    path = tmp_path / "resnet18.safetensors"
    torch.manual_seed(1)
    save_file(ResNet("resnet18").state_dict(), path)
    options = TrainOptions(backbone="resnet18", weights=path, image_size=16, device="cpu")
    return Work(
        load=tiny_dataset, split=split_of, options=options, folder=tmp_path / "out", cache=tmp_path / "cache",
        keep_models=True,
    )  # fmt: skip


def test_each_seed_has_the_figures_that_evaluate_finds(work, monkeypatch):
    found = compare(work, Grid(methods=("itq",), bits=(4,), seeds=(3, 4)), processes=1)
    for seed in (3, 4):
        own = dict(found.about["references"][str(seed)])
        own.pop("key")
        model = load_model(work.folder / "models" / f"itq-4-seed{seed}.model")
        wanted = evaluate(model, tiny_dataset(), device="cpu", cache=work.cache).to_dict()["reference"]
        assert own == pytest.approx({name: wanted[name] for name in own}, abs=1e-9)
    computed, real = [], references.float_figures
    monkeypatch.setattr(references, "float_figures", lambda **parts: computed.append(1) or real(**parts))
    again = compare(work, Grid(methods=("pca",), bits=(4,), seeds=(4, 5)), processes=1)
    assert computed == [1], "the figures of seed 4 are known"
    assert {seed: again.about["references"][seed] for seed in ("3", "4")} == found.about["references"]
    assert set(again.about["references"]) == {"3", "4", "5"}
    other = replace(work, options=replace(work.options, weights=other_weights(work)))
    with pytest.raises(InputError, match=r"holds a comparison with another backbone: resnet18 has other weights now"):
        compare(other, Grid(methods=("pca",), bits=(4,), seeds=(5,)), processes=1)
    assert read_folder(work.folder).about["references"] == again.about["references"]


def test_a_second_command_in_the_same_folder_keeps_its_methods(work, monkeypatch):
    real, begun = run.references_of, []

    def meanwhile(*given):
        if not begun:
            begun.append("the second command")
            compare(work, Grid(methods=("pca",), bits=(4,), seeds=(4,)), command="two", processes=1)
        return real(*given)

    monkeypatch.setattr(run, "references_of", meanwhile)
    found = compare(work, Grid(methods=("itq",), bits=(4,), seeds=(3,)), command="one", processes=1)
    assert found.about["methods"] == ["itq", "pca"]
    assert found.about["commands"] == ["one", "two"]
    assert set(found.about["references"]) == {"3", "4"}


def test_no_two_commands_read_and_write_the_description_at_once(work, monkeypatch):
    held = []

    def writing(path, value):
        held.append(_taken(work.folder / run.LOCK) is None)
        write_json(path, value)

    monkeypatch.setattr(run, "write_json", writing)
    compare(work, Grid(methods=("itq",), bits=(4,), seeds=(3,)), processes=1)
    assert held == [True, True], "as it begins, and with what features give"
    assert not (work.folder / run.LOCK).exists()


def other_weights(work):
    path = work.options.weights
    torch.manual_seed(2)
    save_file(ResNet("resnet18").state_dict(), path)
    return path


def test_a_backbone_that_is_trained_has_no_figures_without_codes(tmp_path):
    options = TrainOptions(image_size=8, epochs=1, batch_size=8, device="cpu")
    work = Work(load=tiny_dataset, split=split_of, options=options, folder=tmp_path / "out", cache=None)
    found = compare(work, Grid(methods=("csq",), bits=(4,), seeds=(0,)), processes=1)
    assert found.about["references"] == {}
    assert found.about["regime"] == "scratch"
    table = quality_table(find(found))
    assert [[entry.text for entry in row][:3] for row in table.rows[-2:]] == [[FLOAT, "-", "-"], [PROBE, "-", "-"]]
    assert any("trained from scratch, and had no features before" in note for note in table.notes)


def test_a_backbone_that_is_fine_tuned_has_the_figures_of_before(work):
    options = replace(work.options, regime="fine-tuned", epochs=1, batch_size=8, head="linear")
    tuned = replace(work, options=options, keep_models=False, folder=work.folder.parent / "tuned")
    found = compare(tuned, Grid(methods=("csq",), bits=(4,), seeds=(3,)), processes=1)
    frozen = compare(work, Grid(methods=("itq",), bits=(4,), seeds=(3,)), processes=1)
    assert found.about["regime"] == "fine-tuned"
    assert found.about["references"] == frozen.about["references"]
    assert any("before it was fine-tuned, the same" in note for note in quality_table(find(found)).notes)


KNOWN = {
    "0": {"float_cosine_map": 0.5, "linear_probe_map": 0.4},
    "2": {"float_cosine_map": 0.7, "linear_probe_map": None},
    "9": {"float_cosine_map": 0.1, "linear_probe_map": 0.1},
}
"""Figures of two of the seeds 0, 1, 2, and of one that is not wanted."""


def test_the_rows_stand_below_the_methods_in_every_format(tmp_path):
    write_comparison_folder(tmp_path, references=KNOWN)
    table = quality_table(find(read_folder(tmp_path)))
    rows = [[entry.text for entry in row] for row in table.rows[-2:]]
    assert rows == [
        [FLOAT, "-", *["0.6000 ± 0.1414 (2 of 3)", "-", "-"] * 2],
        [PROBE, "-", *["0.4000 (1 of 3)", "-", "-"] * 2],
    ]
    assert not any(entry.best or entry.near for row in table.rows[-2:] for entry in row)
    assert any("the same at every length; not among what is tested" in note for note in table.notes)
    write_comparison(tmp_path)
    for name in ("table.md", "table.tex", "report.html"):
        assert FLOAT in (tmp_path / name).read_text(encoding="utf-8")
    told = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))["without_codes"]
    assert told["float_cosine_map"] == {"n": 2, "mean": pytest.approx(0.6), "deviation": pytest.approx(0.02**0.5)}
    assert told["linear_probe_map"]["n"] == 1


def test_a_folder_of_an_older_comparison_has_nothing_in_these_rows(tmp_path):
    write_comparison_folder(tmp_path)
    findings = find(read_folder(tmp_path))
    assert findings.without_codes() == {}
    table = quality_table(findings)
    assert [[entry.text for entry in row] for row in table.rows[-2:]] == [
        [name, *["-"] * (len(table.header) - 1)] for name in (FLOAT, PROBE)
    ]
    assert any("not measured yet; repeat the comparison to have them" in note for note in table.notes)


def test_every_line_of_the_csv_has_the_figures_of_its_seed_and_the_share_that_is_kept(tmp_path):
    sampled = {"float_cosine_map": 0.7, "linear_probe_map": None, "queries": 9, "queries_ranked": 5}
    write_comparison_folder(tmp_path, references=KNOWN | {"2": sampled})
    write_comparison(tmp_path)
    with open(tmp_path / "table.csv", encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    for line in lines:
        known = {"0": ("0.5", "0.4"), "2": ("0.7", "")}.get(line["seed"], ("", ""))
        assert (line["reference.float_cosine_map"], line["reference.linear_probe_map"]) == known
        own, kept = line["report.tie_aware_map"], line["reference.kept_share"]
        assert kept == (str(float(own) / 0.5) if line["seed"] == "0" and own else ""), "a sample has no share"
    assert {line["seed"] for line in lines} == {"0", "1", "2"}
    assert any(line["reference.kept_share"] for line in lines)


def test_the_charts_have_a_dashed_line_with_a_name_for_each(tmp_path):
    write_comparison_folder(tmp_path, references=KNOWN | {"2": {"float_cosine_map": 1.7}})
    drawn = length_charts(find(read_folder(tmp_path)))
    for svg in re.findall("<svg viewBox=.0 0 340.*?</svg>", drawn):
        level = r'<line class="level"[^>]* y1="([^"]*)" y2="([^"]*)"[^>]*><title>([^<:]*): [^<]* ([0-9.]+)</title>'
        levels = re.findall(level, svg)
        assert [(name, value) for *_, name, value in levels] == [(FLOAT, "1.1000"), (PROBE, "0.4000")]
        assert all(start == end and 30 <= float(start) <= 214 for start, end, *_ in levels), "inside the chart"
        assert float(levels[0][0]) < float(levels[1][0])
        for name in (FLOAT, PROBE):
            assert f">{name}</text>" in svg
    write_comparison_folder(tmp_path)
    assert 'class="level"' not in length_charts(find(read_folder(tmp_path)))
