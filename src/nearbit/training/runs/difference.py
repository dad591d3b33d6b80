"""In what a model that stands differs from the one that a run would make."""

import json
from dataclasses import asdict, fields
from typing import Any

from nearbit.model.bundle import Model
from nearbit.training.options import TrainOptions
from nearbit.training.runs.auto import AutoRun
from nearbit.training.runs.baseline import BaselineRun
from nearbit.training.runs.final import AnyRun, FinalRun
from nearbit.training.runs.two_step import TwoStepRun

MACHINE = ("dataset_fingerprint", "device", "precision", "processes", "threads", "batch_norm")
"""What a record holds besides options that decides a model."""


Facts = dict[tuple[str, str], Any]
"""Facts by kind and name: a method may have an option of a name that training has, too, and what training was told of a
device is not what became of it."""


def differences(model: Model, run: AnyRun) -> list[str]:
    """Return what of method, bits, options, data and machine is not what the run asks: "seed 0 instead of 1".

    An option of the method that has the name of one of training is called "option hidden". The weights of the backbone,
    arrays that were given and the versions of libraries are not compared.
    """
    there, asked = _of_model(model), _of_run(run)
    if there["run", "method"] != asked["run", "method"]:
        there, asked = ({key: facts[key] for key in (("run", "method"), ("run", "bits"))} for facts in (there, asked))
    other = [key for key in {**asked, **there} if there.get(key) != asked.get(key)]
    return [
        _said(_called(kind, name), there.get((kind, name)), asked.get((kind, name)))
        for kind, name in other
        if not (kind == "training" and ("machine", name) in other)
    ]


def _called(kind: str, name: str) -> str:
    is_shared = name in {one.name for one in fields(TrainOptions)}
    return f"option {name}" if kind == "method" and is_shared else name


def _said(name: str, there: Any, asked: Any) -> str:
    if name == "dataset_fingerprint":
        return "other images or labels"
    if name == "split":
        return "another split"
    return f"{name} {_text(there)} instead of {_text(asked)}"


def _text(value: Any) -> str:
    return "its default" if value is None else str(value)


def _of_model(model: Model) -> Facts:
    is_final = "final" in model.record
    split = None if model.split is None else model.split.hash
    if is_final:
        split = model.record["final"]["measured"]["split_hash"]
    method, options = ("auto", {}) if "auto" in model.record else (model.method, model.method_options)
    return _named(method, model.n_bits, options, split, model.record) | {("run", "final"): is_final}


def _of_run(run: AnyRun) -> Facts:
    is_final, run = isinstance(run, FinalRun), run.chooser if isinstance(run, FinalRun) else run
    context, run = run.context, run.second if isinstance(run, TwoStepRun) else run
    if isinstance(run, AutoRun):
        method, n_bits, options = "auto", run.n_bits, {}
    elif isinstance(run, BaselineRun):
        method, n_bits, options = run.baseline.name, run.n_bits, asdict(run.method_options)
    else:
        method, n_bits, options = run.method.name, run.task.n_bits, asdict(run.method_options)
    return _named(method, n_bits, options, context.split.hash, context.record()) | {("run", "final"): is_final}


def _named(method: str, n_bits: int, options: dict[str, Any], split: str | None, record: dict[str, Any]) -> Facts:
    machine = {name: record.get(name) for name in MACHINE}
    if machine["batch_norm"] is None and ("tuning" in record or record.get("regime") != "frozen"):
        machine["batch_norm"] = "batch"  # so all went before records said it
    kinds = {
        "run": {"method": method, "bits": n_bits},
        "method": options,
        "training": record.get("options", {}),
        "data": {"split": split},
        "machine": machine,
    }
    plain = json.loads(json.dumps(kinds))
    return {(kind, name): value for kind, values in plain.items() for name, value in values.items()}
