"""`nearbit demo`: the whole road in two minutes."""

from pathlib import Path

import click

from nearbit.cli.console import Bars, echo, emit, json_option, table


@click.command("demo", epilog="Example: nearbit demo -o nearbit-demo")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("nearbit-demo"),
    show_default=True,
    help="The folder to write.",
)
@click.option(
    "--bits",
    "bits",
    type=click.IntRange(4),
    multiple=True,
    default=(16, 32, 64),
    show_default=True,
    help="Code lengths; repeatable.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Decides every random choice.")
@json_option
def command(output: Path, bits: tuple[int, ...], seed: int, as_json: bool) -> None:
    """Train CRH and CSQ on built-in images, index, search, compare, and write a page to open. Needs no download.

    Repeated, it uses the models that it made before.
    """
    from nearbit.demo import run_demo
    from nearbit.extras import install_hint

    echo(f"Training {2 * len(bits) + 2} small networks: about a minute and a half. Those made before are used again.")
    with Bars() as progress:
        about = run_demo(output, bits=bits, seed=seed, progress=progress)
    rows = [
        (
            row["dataset"],
            row["method"],
            row["n_bits"],
            f"{row['tie_aware_map']:.4f}",
            f"{row['map_database_order']:.4f}",
            row["distinct_codes"],
            f"{row['seconds']:.1f}",
        )
        for row in about["rows"]
    ]
    header = ("dataset", "method", "bits", "mAP tie-aware", "mAP database order", "distinct codes", "seconds")
    emit(
        about,
        as_json=as_json,
        lines=[
            *table(rows, header),
            "",
            f"Open {about['report']} in a browser.",
            f"Then try: nearbit search {output / 'digits.index'} --id 1",
            f"On a page: nearbit serve {output / 'digits.index'} (needs: {install_hint('serve', 'starlette')})",
            "With your own images: nearbit train photos/ --method crh --bits 64 -o birds.model",
        ],
    )
