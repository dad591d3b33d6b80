"""What `nearbit train` says of a model: that it is there, how another one differs, how the training ended."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearbit.cli.console import emit, list_problems
from nearbit.cli.split_options import part_sizes
from nearbit.errors import InputError
from nearbit.names import counted

if TYPE_CHECKING:
    from nearbit.model.bundle import Model
    from nearbit.training import AnyRun


def finished_model(output: Path, run: "AnyRun", overwrite: bool) -> "Model | None":
    """Return the model at `output` if it is what would be trained; refuse to replace another one unasked."""
    from nearbit.model.bundle import load_model
    from nearbit.model.manifest import check_target
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
    from nearbit.model.manifest import regime_of, tuning_figures

    record = model.record
    split = model.split
    sizes = part_sizes(split) if split is not None else {}
    score = record["validation_map"]
    about = {
        "model": str(output),
        "model_id": model.model_id,
        "method": model.method,
        "n_bits": model.n_bits,
        "regime": regime_of(record),
        "head": model.head["kind"],
        "head_candidates": record["head_candidates"],
        "selected_epoch": record["selected_epoch"],
        "epochs": record["schedule"]["epochs"],
        "epochs_trained": record.get("epochs_trained"),
        "validation_map": score,
        "published": record.get("published"),
        "auto": record.get("auto"),
        "final": record.get("final"),
        "tuning": tuning_figures(record),
        "split": sizes,
        "seconds": record["seconds"],
        "errors_file": errors,
    }
    emit(
        about,
        as_json=as_json,
        lines=[
            f"{output}: {model.method}, {model.n_bits} bits, {about['regime']}, {model.head['kind']} head "
            f"on {record['options']['backbone']}",
            *about_tuning(record),
            f"epoch {about['selected_epoch']} of {about['epochs']}"
            + _about_end(record)
            + (f", validation mAP {score:.4f} (tie-aware)" if score is not None else ", no validation"),
            *about_published(record),
            *about_choice(record, model.n_bits),
            *about_final(record),
            *_about_anew(record, output),
            "next: "
            + ("" if "final" in record or not model.classes else f"nearbit evaluate {output} DATA, or ")
            + f"nearbit index add NAME.index DATA --model {output}",
        ],
    )


def _about_end(record: dict[str, Any]) -> str:
    """Return what a model's record says of a training that ended before its last epoch."""
    trained, patience = record.get("epochs_trained"), record.get("patience")
    if not patience or trained == record["schedule"]["epochs"]:
        return ""
    return f" (ended after {trained}: no gain in {patience}, --patience)"


def _about_anew(record: dict[str, Any], output: Path) -> list[str]:
    """Return what is to be tried with a network that was fine-tuned whole, in a line for people."""
    if record["regime"] != "fine-tuned" or "final" in record:
        return []
    return [
        "try: a head that is trained anew on the features of this network, in minutes; it was far better on Stanford "
        f"Cars, where training images are searched: nearbit train DATA --backbone model:{output} …"
    ]


def about_published(record: dict[str, Any]) -> list[str]:
    """Return what a model's record says of the epoch that papers would report; none where it was not measured."""
    published = record.get("published")
    if published is None:
        return []
    own = published["query_map_of_selected"]
    figure = "" if own is None else f", and this model's is {own:.4f}"
    return [
        f"queries: mAP {published['query_map']:.4f} at their best, epoch {published['epoch']}, which is how papers "
        f"choose{figure} (tie-aware)"
    ]


def about_tuning(record: dict[str, Any]) -> list[str]:
    """Return what a model's record says of the first of two steps, in a line for people; none where there was one."""
    tuning = record.get("tuning")
    if tuning is None:
        return []
    right, epochs = tuning["validation_accuracy"], tuning["schedule"]["epochs"]
    figure = "" if right is None else f", which was right on {right:.1%} of the validation images"
    return [f"backbone: tuned as a classifier, epoch {tuning['selected_epoch']} of {epochs}{figure}; then the head:"]


def about_final(record: dict[str, Any]) -> list[str]:
    """Return what a model's record says of a final training, in a line or two for people; none where there was none."""
    final = record.get("final")
    if final is None:
        return []
    lines = [f"final: trained on all {final['n_images']} images, of which none can measure this model"]
    measured = final["measured"]
    if "validation_map" in measured:  # else its codes were changed after the training
        score = measured["validation_map"]
        figure = "no validation figure" if score is None else f"validation mAP {score:.4f} (tie-aware)"
        lines[0] += f"; the same recipe, trained on {measured['n_train']} of them, had {figure}"
    if final["left_out_without_labels"]:
        lines.append(
            f"final: {counted(final['left_out_without_labels'], 'image', 'images')} without labels left out: "
            f"{_what_needs_labels(record)} cannot be trained on them"
        )
    return lines


def _what_needs_labels(record: dict[str, Any]) -> str:
    return "the classifier" if record.get("tuning") is not None else str(record["final"]["recipe"]["method"])


def about_choice(record: dict[str, Any], n_bits: int) -> list[str]:
    """Return what a model's record says of the choice, in a line or two for people; none where nothing was chosen."""
    auto = record.get("auto")
    if auto is None:
        return []
    if None in auto["scores"].values():
        lines = [f"auto: {auto['chosen']}; there are no validation images to choose another method by"]
    elif auto.get("knows_all"):
        why = "the backbone was trained on the training images, so that nothing can be rehearsed"
        lines = [f"auto: {auto['chosen']}, by the number of training images a class: {why}"]
    else:
        scores = ", ".join(f"{name} {score:.3f}" for name, score in auto["scores"].items())
        searched = "each other" if auto["searched"] == "validation" else "training images"
        rehearsed = ", in a rehearsal on fewer training images" if auto["rehearsed"] else ""
        if auto["bits_tried"] != n_bits:
            rehearsed += f" with {auto['bits_tried']} bits"
        lines = [
            f"auto: {auto['chosen']}, best by mAP of validation images that search {searched}{rehearsed} ({scores})"
        ]
    lines += [f"auto: {name} was not tried: {why}" for name, why in auto["refused"].items()]
    return lines + _about_few(record.get("final", auto)["images_per_class"], n_bits, is_final="final" in record)


def _about_few(images_per_class: float, n_bits: int, *, is_final: bool) -> list[str]:
    """Return what helps where there are few training images a class."""
    from nearbit.metrics.kept import FEW_IMAGES

    if images_per_class >= FEW_IMAGES:
        return []
    helps = [f"more bits (--bits {2 * n_bits})", "ranking by real outputs (nearbit search --asymmetric)"]
    if not is_final:
        helps.append("once it is measured, training on the images of all parts (--final)")
    return [
        f"only {images_per_class:g} training images a class: codes lose much against the features they are made of. "
        f"What helps: {'; '.join(helps)}"
    ]
