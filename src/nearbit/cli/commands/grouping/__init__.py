"""`nearbit duplicates` and `nearbit clusters`, and the options that they share."""

from pathlib import Path

import click

from nearbit.cli.console import Command, json_option, max_pixels_option


def output_options(command: Command, /, what: str) -> Command:
    """Add the files that are written, of which `what` tells, the largest picture that is read, and --json."""
    outputs = click.option(
        "-o", "--out", "outputs", type=click.Path(path_type=Path, dir_okay=False), multiple=True, help=what
    )
    return outputs(max_pixels_option(json_option(command)))
