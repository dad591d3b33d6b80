"""What `nearbit train` says of a model: that it is there, how another one differs, how the training ended."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearbit.cli.console import emit, list_problems
from nearbit.cli.split_options import part_sizes
from nearbit.errors import InputError

if TYPE_CHECKING:
    from nearbit.model.bundle import Model
    from nearbit.training import AnyRun


def finished_model(output: Path, run: "AnyRun", overwrite: bool) -> "Model | None":
    """Return the model at `output` if it is what would be trained; refuse to replace another one unasked."""
    from nearbit.model.bundle import check_target, load_model
    from nearbit.training import differences

    check_target(output)
    if not output.exists() or overwrite:
        return None
    model = load_model(output)
    if model.record.get("run_key") == run.key():
        return model
    found = differences(model, run)
    how = ", ".join(found[:5]) or "other backbone weights, similarity, centers or library versions"
    raise InputError(
        f"{output} holds another model ({model.method}, {model.n_bits} bits), with {how}: choose another -o, or pass "
        "--overwrite to replace it"
    )


def list_skipped(run: "AnyRun", output: Path) -> str | None:
    """Write the images that were skipped beside the model; return the file's name, or None where there are none."""
    return list_problems(run.context.dataset.problems, output.with_name(output.name + ".errors.jsonl"))


def report(model: "Model", output: Path, errors: str | None, as_json: bool) -> None:
    """Print what was trained, why, and how well it does on validation."""
    record = model.record
    split = model.split
    sizes = part_sizes(split) if split is not None else {}
    score = record["validation_map"]
    about = {
        "model": str(output),
        "model_id": model.model_id,
        "method": model.method,
        "n_bits": model.n_bits,
        "regime": record["regime"],
        "head": model.head["kind"],
        "head_candidates": record["head_candidates"],
        "selected_epoch": record["selected_epoch"],
        "epochs": record["schedule"]["epochs"],
        "validation_map": score,
        "auto": record.get("auto"),
        "split": sizes,
        "seconds": record["seconds"],
        "errors_file": errors,
    }
    emit(
        about,
        as_json=as_json,
        lines=[
            f"{output}: {model.method}, {model.n_bits} bits, {record['regime']}, {model.head['kind']} head "
            f"on {record['options']['backbone']}",
            f"epoch {about['selected_epoch']} of {about['epochs']}"
            + (f", validation mAP {score:.4f} (tie-aware)" if score is not None else ", no validation"),
            *about_choice(record, model.n_bits),
            f"next: nearbit evaluate {output} DATA, or nearbit index add NAME.index DATA --model {output}",
        ],
    )


def about_choice(record: dict[str, Any], n_bits: int) -> list[str]:
    """Return what a model's record says of the choice, in a line or two for people; none where nothing was chosen."""
    auto = record.get("auto")
    if auto is None:
        return []
    from nearbit.metrics.kept import FEW_IMAGES

    if None in auto["scores"].values():
        lines = [f"auto: {auto['chosen']}; there are no validation images to choose another method by"]
    else:
        scores = ", ".join(f"{name} {score:.3f}" for name, score in auto["scores"].items())
        searched = "each other" if auto["searched"] == "validation" else "training images"
        rehearsed = ", in a rehearsal on fewer training images" if auto["rehearsed"] else ""
        if auto["bits_tried"] != n_bits:
            rehearsed += f" with {auto['bits_tried']} bits"
        lines = [
            f"auto: {auto['chosen']}, best by mAP of validation images that search {searched}{rehearsed} ({scores})"
        ]
    lines += [f"auto: {name} could not be tried: {why}" for name, why in auto["refused"].items()]
    if auto["images_per_class"] < FEW_IMAGES:
        lines.append(
            f"only {auto['images_per_class']:g} training images a class: codes lose much against the features they are "
            f"made of. What helps: more bits (--bits {2 * n_bits}), and ranking by real outputs (nearbit search "
            "--asymmetric)"
        )
    return lines
