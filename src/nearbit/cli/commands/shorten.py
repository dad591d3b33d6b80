"""`nearbit shorten`: a model of the first bits of another one's codes."""

from pathlib import Path

import click

from nearbit.cli.console import ModelPath, NewPath, emit, json_option
from nearbit.errors import InputError


@click.command("shorten", epilog="Example: nearbit shorten birds.model --bits 16 -o short.model")
@click.argument("model_path", metavar="MODEL", type=ModelPath())
@click.option("--bits", "n_bits", type=click.IntRange(1), required=True, help="How many of the first bits to keep.")
@click.option("-o", "--output", type=NewPath(), required=True, help="The model folder to write.")
@click.option("--overwrite", is_flag=True, help="Replace another model at OUTPUT.")
@json_option
def command(model_path: Path, n_bits: int, output: Path, overwrite: bool, as_json: bool) -> None:
    """Write a model whose codes are the first bits of those of MODEL.

    Short codes are good where MODEL was trained for them (nearbit train --method ech --option nested=16,32).
    """
    from nearbit.model.bundle import load_model
    from nearbit.model.manifest import check_target

    check_target(output)
    if output.exists() and not overwrite:
        raise InputError(f"{output} is there already: choose another -o, or pass --overwrite to replace it")
    model = load_model(model_path)
    short = model.shortened(n_bits)
    short.save(output)
    about = {
        "model": str(output),
        "model_id": short.model_id,
        "n_bits": n_bits,
        "from_model_id": model.model_id,
        "from_n_bits": model.n_bits,
        "nested": n_bits in (model.method_options.get("nested") or []),
    }
    emit(about, as_json=as_json, lines=_lines(about))


def _lines(about: dict[str, object]) -> list[str]:
    line = f"{about['model']}: the first {about['n_bits']} of {about['from_n_bits']} bits"
    if about["nested"]:
        return [f"{line}, a length that the model was trained for"]
    return [
        line,
        "the model was not trained for this length, so that a model of its own is better; "
        "--method ech --option nested=… trains for several",
    ]
