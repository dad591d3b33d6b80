"""Every command can be asked for its help with each click that pyproject.toml allows, and without torch."""

import subprocess
import sys

HELPS = """
import sys
import click

class Plain(click.ParamType):  # before click 8.4 a parameter's type takes no [...]
    __class_getitem__ = None

click.ParamType, sys.modules["torch"] = Plain, None

from nearbit.cli.main import COMMANDS, run

for command in COMMANDS:
    assert run([command, "--help"]) == 0, command
"""


def test_the_help_of_every_command_needs_no_newer_click_and_no_torch():
    done = subprocess.run([sys.executable, "-c", HELPS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
