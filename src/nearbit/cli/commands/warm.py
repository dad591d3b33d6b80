"""`nearbit warm`: compile all kernels now, so that no later command works without them."""

import time

import click

from nearbit.cli.console import emit, json_option, table


@click.command("warm", epilog="Example: nearbit warm")
@json_option
def command(as_json: bool) -> None:
    """Compile all inner loops now and keep the machine code.

    Nothing waits for this: until it is done NumPy answers, with the same results. But long work is faster with it, and
    a service needs not compile while it answers. Once after an installation, or when an image of a container is built.
    """
    from nearbit import jit
    from nearbit.compiled import FAMILIES

    rows = []
    for family in FAMILIES:
        was_kept, began = family.is_kept(), time.process_time()
        family.load()
        rows.append((family.name, "kept already" if was_kept else "compiled", round(time.process_time() - began, 2)))
    folder = jit.kept_in()
    emit(
        {
            "kernels": [{"name": name, "was": was, "cpu_seconds": seconds} for name, was, seconds in rows],
            "folder": None if folder is None else str(folder),
        },
        as_json=as_json,
        lines=[
            *table([(name, was, f"{seconds:.1f} s") for name, was, seconds in rows], ("kernels", "", "processor time")),
            f"kept in {folder}"
            if folder is not None
            else "kept nowhere: no folder can be written; name one with NUMBA_CACHE_DIR",
        ],
    )
