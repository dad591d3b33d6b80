"""`nearbit export`: a model as a network for ONNX Runtime, or its card."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from nearbit.cli.console import (
    Bars,
    Data,
    ModelPath,
    NewPath,
    data_options,
    emit,
    json_option,
    read_dataset,
    refuse_options,
)
from nearbit.errors import InputError
from nearbit.reading import ReadingOptions

FOR_A_CARD = ("model_path", "output", "card", "as_json")
"""Parameters that have a use with --model-card."""


@click.command("export", epilog="Example: nearbit export birds.model --onnx -o birds.onnx --check photos/")
@click.argument("model_path", metavar="MODEL", type=ModelPath())
@click.option("-o", "--output", type=NewPath(), required=True, help="The folder or file to write.")
@click.option("--onnx", is_flag=True, help="Write a folder with a network for ONNX Runtime, which needs no torch.")
@click.option("--model-card", "card", is_flag=True, help="Write what is known of MODEL as a Markdown file.")
@click.option("--int8", is_flag=True, help="With --onnx: 8-bit numbers. Smaller and faster; some bits differ.")
@click.option(
    "--check",
    "source",
    metavar="DATA",
    type=Data(),
    help="With --onnx: the images to compare MODEL and network on. [default: built-in images and noise]",
)
@data_options
@json_option
def command(
    model_path: Path,
    output: Path,
    onnx: bool,
    card: bool,
    int8: bool,
    source: str | None,
    as_json: bool,
    cache: Path | None,
    **reading: Any,
) -> None:
    """Write MODEL as a network for ONNX Runtime (--onnx), or the card of MODEL (--model-card).

    An exported network is compared with MODEL before it is written. It encodes and searches as MODEL does; with --int8,
    whose codes differ in some bits, an index of its own is needed.
    """
    if onnx == card:
        raise InputError("give either --onnx or --model-card")
    if card:
        refuse_options(FOR_A_CARD, "goes with --onnx, not with --model-card")
        about, lines = _card(model_path, output)
    else:
        _check_request(int8, source)
        about, lines = _export(_Request(model_path, output, int8, source, ReadingOptions(cache=cache, **reading)))
    emit(about, as_json=as_json, lines=lines)


@dataclass(frozen=True)
class _Request:
    """What the options ask for."""

    model_path: Path
    output: Path
    int8: bool
    source: str | None
    reading: ReadingOptions


def _check_request(int8: bool, source: str | None) -> None:
    if source is None:
        besides = ("model_path", "output", "onnx", "int8", "as_json")
        if int8:
            raise InputError("--int8 needs images like those that will be encoded: give them (--check DATA)")
        refuse_options(besides, "goes with --check DATA")


def _export(asked: _Request) -> tuple[dict[str, Any], list[str]]:
    from nearbit.model.bundle import load_model
    from nearbit.model.onnx import check_export_target
    from nearbit.onnx_export import export_onnx

    check_export_target(asked.output)
    model = load_model(asked.model_path)
    kept = asked.reading.kept
    with Bars() as progress:
        dataset = None
        if asked.source is not None:
            dataset = read_dataset(asked.source, replace(asked.reading, progress=progress))
        exported = export_onnx(model, int8=asked.int8, dataset=dataset, cache=kept, progress=progress)
    exported.model.save(asked.output)
    size = len(exported.model.content)
    about = {
        "onnx": str(asked.output),
        "precision": exported.model.precision,
        "model_id": exported.model.model_id,
        "source_model_id": exported.model.source_model_id,
        "n_bits": model.n_bits,
        "network_bytes": size,
        "parity": exported.parity.to_dict(),
        "retrieval": None if exported.retrieval is None else exported.retrieval.to_dict(),
    }
    lines = [f"{asked.output}: {exported.model.precision}, {model.n_bits} bits, {size / 1e6:.1f} MB"]
    lines += exported.parity.lines()
    lines += [] if exported.retrieval is None else exported.retrieval.lines()
    return about, [*lines, f"next: nearbit search INDEX QUERY.jpg --model {asked.output}"]


def _card(model_path: Path, output: Path) -> tuple[dict[str, Any], list[str]]:
    from nearbit.model.card import write_card

    if output.exists():
        raise InputError(f"{output} is there already, and may hold someone's own words: choose another name")
    write_card(model_path, output)
    return {"model_card": str(output), "model": str(model_path)}, [f"{output}: the card of {model_path}"]
