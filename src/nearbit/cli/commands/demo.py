"""`nearbit demo`: the whole road in two minutes."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from nearbit.cli.console import Bars, NewPath, echo, emit, json_option, table

HEADER = ("dataset", "method", "bits", "mAP", "asymmetric", "database order", "distinct codes", "seconds")


@click.command("demo", epilog="Example: nearbit demo -o nearbit-demo")
@click.option(
    "-o",
    "--output",
    type=NewPath(file_okay=False, may_be_here=True),
    default=Path("nearbit-demo"),
    show_default=True,
    help="The folder to write.",
)
@click.option(
    "--bits",
    "bits",
    type=click.IntRange(4),
    multiple=True,
    default=(16, 64),
    show_default=True,
    help="Code lengths of the networks that are trained on all digits; repeatable.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Decides every random choice.")
@json_option
def command(output: Path, bits: tuple[int, ...], seed: int, as_json: bool) -> None:
    """Train CSQ, CRH, SHC and ECH on built-in images, index, search, compare, and write a page to open.

    Needs no download. Repeated, it uses the models that it made before.
    """
    from nearbit.demo import run_demo

    echo("Small networks on built-in images: about a minute and a half. Those made before are used again.")
    with Bars() as progress:
        about = run_demo(output, bits=bits, seed=seed, progress=progress, tell=echo)
    rows = [_row(row) for row in about["rows"]] + [_float_row(row) for row in about["floats"]]
    emit(about, as_json=as_json, lines=[*table(rows, HEADER), "", *_next_lines(output, about["report"])])


def _row(row: Mapping[str, Any]) -> tuple[object, ...]:
    asymmetric = row["asymmetric_map"]
    return (
        row["dataset"],
        row["method"],
        row["n_bits"],
        f"{row['tie_aware_map']:.4f}",
        "-" if asymmetric is None else f"{asymmetric:.4f}",
        f"{row['map_database_order']:.4f}",
        row["distinct_codes"],
        f"{row['seconds']:.1f}",
    )


def _float_row(row: Mapping[str, Any]) -> tuple[object, ...]:
    return (row["dataset"], row["name"], 32 * row["width"], f"{row['tie_aware_map']:.4f}", *4 * ["-"])


def _next_lines(output: Path, report: str) -> list[str]:
    """Return what to do next; each line can be pasted as it is."""
    from nearbit.extras import install_hint
    from nearbit.report.demo_page import AT_ONCE, WITH_LABELS

    index = shlex.quote(str(output / "digits.index"))
    return [
        f"Open in a browser: {report}",
        "",
        "# A search, and a page to search with",
        f"nearbit search {index} --id 1",
        *_install_lines(install_hint("serve", "starlette")),
        f"nearbit serve {index}",
        "",
        "# With your own images",
        *AT_ONCE,
        "",
        "# With one folder a class: codes that are trained",
        *WITH_LABELS,
    ]


def _install_lines(hint: str) -> list[str]:
    """Return the command that installs what the service needs, where it is not there."""
    from importlib.util import find_spec

    return [] if find_spec("starlette") and find_spec("uvicorn") else [hint]
