"""Pages of reference that are written from the program: every command's help, every public name's docstring."""

import inspect
from importlib import import_module
from types import ModuleType

import click

import nearbit
from nearbit.cli.main import COMMANDS, cli

WIDTH = 80
ROOMS_TOLD = (*(room for room in nearbit._ROOMS if room != "compare"), "datasets", "index", "errors")
"""Rooms with a page of their own: those reached as `nearbit.codes`, and those whose names a program meets.

What `nearbit.compare` has for programs is `nearbit.compare_methods`."""


def commands_page() -> str:
    """Return the page of all commands: what `--help` prints of each, and of each subcommand."""
    parts = ["# Commands {#the-commands}", "", "What `nearbit COMMAND --help` prints.", ""]
    for name in COMMANDS:
        context = click.Context(cli, info_name="nearbit", **cli.context_settings)
        command = cli.get_command(context, name)
        if command is None:
            raise LookupError(f"nearbit has no command {name}")
        parts += _help_of(command, click.Context(command, info_name=name, parent=context))
    return "\n".join(parts)


def _help_of(command: click.Command, context: click.Context) -> list[str]:
    context.terminal_width = context.max_content_width = WIDTH
    parts = [f"## {context.command_path}", "", "```text", command.get_help(context), "```", ""]
    if isinstance(command, click.Group):
        for name, one in command.commands.items():
            parts += ["#" + line if line.startswith("## ") else line
                      for line in _help_of(one, click.Context(one, info_name=name, parent=context))]  # fmt: skip
    return parts


def python_pages() -> dict[str, str]:
    """Return the pages of the Python reference: path on the site to text, made of the public names."""
    rooms = {room: import_module(f"nearbit.{room}") for room in ROOMS_TOLD}
    pages = {"reference/python/index.md": _front(rooms)}
    for room, module in rooms.items():
        about = (module.__doc__ or "").strip()
        parts = [f"# nearbit.{room}", "", about, ""]
        for name in public_names(module):
            parts += _entry(f"nearbit.{room}.{name}")
        pages[f"reference/python/nearbit.{room}.md"] = "\n".join(parts)
    return pages


def _front(rooms: dict[str, ModuleType]) -> str:
    """Return the page of `import nearbit`: its names in full, and a table of the rooms."""
    parts = ["# Python", "", "`import nearbit as nb` has these names; nothing heavy is loaded before one is used.", ""]
    parts += ["| page | what is in it |", "|---|---|"]
    for room, module in rooms.items():
        parts.append(f"| [nearbit.{room}](nearbit.{room}.md) | {_first_line(module)} |")
    parts.append("")
    for name in sorted(nearbit._HOME, key=str.lower):
        parts += _entry(f"nearbit.{name}")
    return "\n".join(parts)


def _entry(path: str) -> list[str]:
    return [f"::: {path}", ""]


def _first_line(module: ModuleType) -> str:
    return (module.__doc__ or "").strip().splitlines()[0].replace("|", "\\|")


def public_names(module: ModuleType) -> list[str]:
    """Return the public names of a room: its `__all__`, else the functions and classes that it defines itself."""
    if hasattr(module, "__all__"):
        return sorted((name for name in module.__all__ if inspect.getdoc(getattr(module, name))), key=str.lower)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == module.__name__
        and value.__doc__
    ]
