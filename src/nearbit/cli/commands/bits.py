"""`nearbit bits`: quality against code length, and which length to take."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nearbit.cli.backbone_options import with_backbone
from nearbit.cli.console import (
    Bars,
    Data,
    NewPath,
    data_options,
    emit,
    json_option,
    make_folder,
    read_dataset,
    say_notes,
    table,
)
from nearbit.cli.split_options import DIVIDING, build_split, say_split_notes, split_options
from nearbit.cli.training_options import TRAINING, training_options
from nearbit.errors import InputError
from nearbit.reading import ReadingOptions

if TYPE_CHECKING:
    from nearbit.bits import LengthCurve

STANDALONE = (
    '<svg xmlns="http://www.w3.org/2000/svg" '
    'style="--ink:#222;--muted:#666;--rule:#ddd;--one:#1f6fb4;--two:#b4541f;background:#fff" '
)


@click.command("bits", epilog="Example: nearbit bits photos/ --bits 16,32,64,128")
@click.argument("source", metavar="DATA", type=Data())
@click.option("--bits", "lengths", default="16,32,64,128", show_default=True, help="Code lengths, with commas.")
@click.option(
    "--method",
    default="auto",
    show_default=True,
    help="What is trained at each length; auto: the best of a few at the length nearest to 64.",
)
@click.option(
    "-o",
    "--output",
    type=NewPath(file_okay=False, may_be_here=True),
    help="Write bits.svg and bits.json into this folder.",
)
@training_options
@click.option("--head", type=click.Choice(["auto", "linear", "hidden"]), default="auto", show_default=True)
@split_options
@data_options
@json_option
def command(
    source: str,
    lengths: str,
    method: str,
    output: Path | None,
    as_json: bool,
    seed: int,
    cache: Path | None,
    **given: Any,
) -> None:
    """Train a method on DATA at several code lengths, print what each gives on validation images, and recommend one.

    Query images are not looked at. The models are not kept: train the one you take.
    """
    from nearbit.bits import length_curve
    from nearbit.files.writing import cache_folder
    from nearbit.training import TrainOptions

    wanted = _lengths(lengths)
    if output is not None:
        make_folder(output)
    dividing = {name: given.pop(name) for name in DIVIDING}
    options = TrainOptions(seed=seed, **{name: given.pop(name) for name in (*TRAINING, "head")})
    agreed = given.pop("yes")
    with Bars() as progress:
        dataset = read_dataset(source, ReadingOptions(cache=cache, progress=progress, **given))
        say_notes(dataset)
        options = with_backbone(options, dataset.source, agreed=agreed)
        split = build_split(dataset, seed=seed, **dividing)
        say_split_notes(split)
        curve = length_curve(
            dataset, split, wanted, method=method, options=options, cache=cache or cache_folder(), progress=progress
        )
    emit(curve.to_dict(), as_json=as_json, lines=_lines(curve))  # first: it may be what hours have made
    if output is not None:
        _write(curve, output)


def _lengths(text: str) -> list[int]:
    values = [value.strip() for value in text.split(",")]
    if not all(value.isascii() and value.isdecimal() and len(value) < 6 and int(value) for value in values):
        raise InputError(f"--bits must be whole numbers from 1 with commas between, such as 16,32,64, not {text!r}")
    return [int(value) for value in values]


def _lines(curve: "LengthCurve") -> list[str]:
    rows = [
        (
            figure.n_bits,
            figure.bytes_per_million,
            f"{figure.validation_map:.4f}",
            "-" if figure.kept_share is None else f"{figure.kept_share:.2f}",
        )
        for figure in curve.figures
    ]
    searched = "each other" if curve.searched == "validation" else "training images"
    return [
        f"{curve.method}; validation images search {searched}",
        *table(rows, ("bits", "bytes a million", "validation mAP", "of float cosine")),
        *(f"{n_bits} bits: {why}" for n_bits, why in curve.refused.items()),
        curve.reason(),
    ]


def _write(curve: "LengthCurve", folder: Path) -> None:
    """Write the chart and the figures into a folder."""
    from nearbit.files.writing import write_json, write_whole
    from nearbit.report.svg import line_chart

    series = {curve.method: {figure.n_bits: figure.validation_map for figure in curve.figures}}
    if curve.float_map is not None:
        series["float cosine"] = {figure.n_bits: curve.float_map for figure in curve.figures}
    drawn = line_chart(series, x_label="bits", y_label="validation mAP").replace("<svg ", STANDALONE, 1)

    def written(aside: Path) -> None:
        aside.write_text(drawn, encoding="utf-8")

    write_whole(folder / "bits.svg", written)
    write_json(folder / "bits.json", curve.to_dict())
