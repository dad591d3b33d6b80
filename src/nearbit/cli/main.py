"""The command `nearbit`: finds the subcommand, and turns errors into one line and an exit status."""

import ctypes
import os
import re
import sys
import warnings
from collections.abc import Callable
from importlib import import_module

import click

from nearbit.cli.console import Text, echo, json_text
from nearbit.errors import ElsewhereError, NearbitError, did_you_mean, said_of
from nearbit.progress import with_name

COMMANDS = {
    "demo": "Train, index, search and compare on built-in images; writes a page to open.",
    "data": "Read images with labels, say what is there and what cannot be read.",
    "split": "Divide a data set into train, validation, query and database.",
    "train": "Train a hash network on labelled images; writes a model folder.",
    "add-class": "Give a trained model one more class, from a few images and without training.",
    "bits": "Draw quality against code length for a folder, and recommend one.",
    "shorten": "Make a model of the first bits of another one's codes.",
    "encode": "Turn images into binary codes; writes an .npz file.",
    "index": "Put images into a searchable index, and look after it.",
    "watch": "Let an index follow a folder: what is added, moved and removed there.",
    "search": "Find the nearest images of an index.",
    "duplicates": "Find near-duplicate pictures of an index, in groups; deletes nothing.",
    "clusters": "Put the items of an index into clusters, each with a typical picture.",
    "serve": "Search by a page and an HTTP API, on this machine.",
    "evaluate": "Measure a model, or codes made elsewhere: mAP and the rest.",
    "attack": "Measure a model on query images that are perturbed to mislead it.",
    "compare": "Train and measure methods beside each other; writes tables and a report.",
    "centers": "Make hash centers alone, and say how far apart they are.",
    "export": "Write a model as a network for ONNX Runtime, or its card.",
    "push": "Publish a model with its card on the Hugging Face hub.",
    "inspect": "Say what a model folder or an index file holds.",
    "warm": "Compile all inner loops now, so that long work never goes on without.",
    "doctor": "Check the installation: versions, device, extras, cache.",
}
HOMES = {"duplicates": "grouping.duplicates", "clusters": "grouping.clusters", "watch": "index.watch"}
"""Modules of commands that lie in a folder of `commands`."""
OUT_OF_MEMORY = re.compile("can't allocate memory|not enough memory|out of memory", re.IGNORECASE)
LESS_MEMORY = "take fewer or smaller images at once, a smaller --batch-size or backbone, or a larger machine"
USER_ERROR, OUR_FAULT, INTERRUPTED = 2, 1, 130

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
LARGE = 2**30
SPINS = "20000"


class Commands(click.Group):
    """The subcommands, each imported only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = HOMES.get(cmd_name, cmd_name).replace("-", "_")
        command: click.Command = import_module(f"nearbit.cli.commands.{module}").command
        _refuse_unstorable(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            hint = did_you_mean(args[0], list(COMMANDS))
            raise click.UsageError(f"no command {args[0]!r}; known: {', '.join(COMMANDS)}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _refuse_unstorable(command: click.Command) -> None:
    """Let a command and its subcommands refuse at once what is a text, and no path, and cannot be kept."""
    for param in command.params:
        if param.type is click.STRING:
            param.type = Text()
    for subcommand in command.commands.values() if isinstance(command, click.Group) else ():
        _refuse_unstorable(subcommand)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Begin with: nearbit demo",
)
@click.version_option(package_name="nearbit", prog_name="nearbit")
def cli() -> None:
    """Image search with learned binary codes: train, encode, index, search, evaluate."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 our fault, 2 user's mistake, 130 interrupted."""
    given = sys.argv[1:] if arguments is None else arguments
    sys.exit(run(given))


def run(arguments: list[str]) -> int:
    """Run the command line with these arguments and return its exit status."""
    as_json = "--json" in arguments
    tune_runtime()
    with warnings.catch_warnings():
        warnings.filterwarnings("always", module=r"PIL\.")  # of each file, and not of the first that has this fault
        warnings.showwarning = _teller()
        return _run(arguments, as_json)


def tune_runtime() -> None:
    """Prepare this process for networks on the CPU, before torch is loaded.

    A network's layers allocate and free the same large blocks again and again, and fetching them from the system each
    time costs more than some layers do: glibc's allocator is told to keep them. Threads that wait for each other give
    their core away after a moment instead of spinning on, for on a shared machine long spinning slows everything down
    several times over; what the user set in the environment is respected.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in ((M_MMAP_THRESHOLD, LARGE), (M_TRIM_THRESHOLD, LARGE), (M_TOP_PAD, LARGE // 8)):
            mallopt(parameter, value)


def _teller() -> Callable[..., None]:
    """Return what prints a warning, each text once, with the name of the file that is being read."""
    told: set[str] = set()

    def tell(message: object, *_: object) -> None:
        text = with_name(message)
        if text not in told:
            told.add(text)
            echo(f"nearbit: warning: {text}")

    return tell


def _run(arguments: list[str], as_json: bool) -> int:
    try:
        cli.main(arguments or ["--help"], prog_name="nearbit", standalone_mode=False)
    except click.UsageError as error:
        hint = f" Try '{error.ctx.command_path} --help'." if error.ctx is not None else ""
        return _fail(error.format_message() + hint, "UsageError", as_json)
    except click.ClickException as error:
        return _fail(error.format_message(), type(error).__name__, as_json)
    except (KeyboardInterrupt, click.Abort):
        echo("\nInterrupted. Nothing is half-written; the same command goes on where it stopped.")
        return INTERRUPTED
    except ElsewhereError:  # the process that failed has printed its error
        return USER_ERROR
    except NearbitError as error:
        return _fail(said_of(error), type(error).__name__, as_json)
    except OSError as error:
        return _fail(said_of(error), "OSError", as_json)
    except SystemExit:  # click's answer to a reader of standard output that has gone
        return 0
    except Exception as error:  # noqa: BLE001 - the last resort of the command line: say whose fault it is, and show all of it
        import traceback

        if isinstance(error, MemoryError) or OUT_OF_MEMORY.search(str(error)):
            what = " ".join(str(error).split())[:200] or "no more could be had"
            return _fail(f"there is not enough memory ({what}): {LESS_MEMORY}", "MemoryError", as_json)
        traceback.print_exc()
        faulty = _method_at_fault(
            {frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)}
        )
        if faulty is None:
            echo("nearbit: this is a fault of nearbit itself; please report it with the lines above.")
        else:
            echo(f"nearbit: this came out of {faulty}, which is no part of nearbit; the lines above say where.")
        return OUR_FAULT
    return 0


def _method_at_fault(modules: set[str]) -> str | None:
    """Return which method of another package has its code in one of these modules, if one does."""
    methods = sys.modules.get("nearbit.methods")  # where it was not loaded, no method ran
    if methods is None:
        return None
    packages = {module.partition(".")[0] for module in modules}
    for name, entries in methods.installed_methods().items():
        for entry in entries:
            if entry.module.partition(".")[0] in packages:
                return f"the method {name!r} of {methods.place_of(entry)}"
    return None


def _fail(message: str, kind: str, as_json: bool) -> int:
    if as_json:
        click.echo(json_text({"error": {"type": kind, "message": message}}))
    echo(f"nearbit: {' '.join(message.split())}")
    return USER_ERROR
