"""In what a model that stands differs from the one that a run would make."""

import json
from dataclasses import asdict
from typing import Any

from nearbit.model.bundle import Model
from nearbit.training.runs.auto import AutoRun
from nearbit.training.runs.baseline import BaselineRun
from nearbit.training.runs.final import AnyRun, FinalRun
from nearbit.training.runs.two_step import TwoStepRun

MACHINE = ("dataset_fingerprint", "device", "precision", "processes", "threads", "batch_norm")
"""What a record holds besides options that decides a model."""


def differences(model: Model, run: AnyRun) -> list[str]:
    """Return what of method, bits, options, data and machine is not what the run asks: "seed 0 instead of 1".

    The weights of the backbone, arrays that were given and the versions of libraries are not compared.
    """
    there, asked = _of_model(model), _of_run(run)
    if there["method"] != asked["method"]:
        there, asked = ({name: facts[name] for name in ("method", "bits")} for facts in (there, asked))
    return [
        _said(name, there.get(name), asked.get(name))
        for name in {**asked, **there}
        if there.get(name) != asked.get(name)
    ]


def _said(name: str, there: Any, asked: Any) -> str:
    if name == "dataset_fingerprint":
        return "other images or labels"
    if name == "split":
        return "another split"
    return f"{name} {_text(there)} instead of {_text(asked)}"


def _text(value: Any) -> str:
    return "its default" if value is None else str(value)


def _of_model(model: Model) -> dict[str, Any]:
    is_final = "final" in model.record
    split = None if model.split is None else model.split.hash
    if is_final:
        split = model.record["final"]["measured"]["split_hash"]
    method, options = ("auto", {}) if "auto" in model.record else (model.method, model.method_options)
    return _named(method, model.n_bits, options, split, model.record) | {"final": is_final}


def _of_run(run: AnyRun) -> dict[str, Any]:
    is_final, run = isinstance(run, FinalRun), run.chooser if isinstance(run, FinalRun) else run
    context, run = run.context, run.second if isinstance(run, TwoStepRun) else run
    if isinstance(run, AutoRun):
        method, n_bits, options = "auto", run.n_bits, {}
    elif isinstance(run, BaselineRun):
        method, n_bits, options = run.baseline.name, run.n_bits, asdict(run.method_options)
    else:
        method, n_bits, options = run.method.name, run.task.n_bits, asdict(run.method_options)
    return _named(method, n_bits, options, context.split.hash, context.record()) | {"final": is_final}


def _named(
    method: str, n_bits: int, options: dict[str, Any], split: str | None, record: dict[str, Any]
) -> dict[str, Any]:
    machine = {name: record.get(name) for name in MACHINE}
    if machine["batch_norm"] is None and ("tuning" in record or record.get("regime") != "frozen"):
        machine["batch_norm"] = "batch"  # so all went before records said it
    named = {"method": method, "bits": n_bits, **options, **record.get("options", {}), "split": split, **machine}
    return dict(json.loads(json.dumps(named)))
