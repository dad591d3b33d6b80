"""What the processes that encode shards are told, and what they answer."""

from collections.abc import Callable
from dataclasses import dataclass, field

from nearbit.datasets import content_digest
from nearbit.files.addresses import FilePlace
from nearbit.index.exchange.codes_table import CodesAbout
from nearbit.reading import ReadingOptions

ROW_BITS = 24
"""Bits of an id that count the images of a shard; those above are the number of the shard."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is the same for all shards; it can be sent to another process, or to another machine.

    Attributes:
        model: the folder of the model.
        about: code length, model and outputs, as every file of codes says them.
        output: the folder that files of codes go into.
        device: of the network.
        has_ids: whether the shards give ids; else they follow from the number of the shard and of the image in it.
        options: how shards are read.
    """

    model: str
    about: CodesAbout
    output: str
    device: str
    has_ids: bool
    options: ReadingOptions


@dataclass(frozen=True)
class Shard:
    """One shard: where it lies, the name of its file of codes, and its number in the folder of codes."""

    source: str
    name: str
    number: int

    @property
    def place(self) -> FilePlace:
        """Where it lies."""
        return FilePlace.of(self.source)


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """What became of a shard.

    Attributes:
        items: codes that were written.
        problems: images that were skipped, which the file `NAME.errors.jsonl` lists.
        passed: members or columns that were passed over, by kind.
        bytes: length of the shard.
        head: SHA-256 of its first bytes: with the length it tells it from others of its name.
        number: the number of the shard that its ids were made with; None in older files, which do not say it.
        error: why it could not be encoded at all; "" where it was.
    """

    items: int = 0
    problems: int = 0
    passed: dict[str, int] = field(default_factory=dict)
    bytes: int = 0
    head: str = ""
    number: int | None = None
    error: str = ""


HEAD = 2**16
Answered = Callable[[Shard, Encoded], None]
Died = Callable[[Shard, int | None], bool]


def head_of(place: FilePlace) -> str:
    """Return the SHA-256 of the first bytes of a shard."""
    return content_digest(place.part(0, HEAD))


def errors_name(name: str) -> str:
    """Return the name of the file that lists what was skipped of the shard whose codes are in the file `name`."""
    return f"{name.removesuffix('.parquet')}.errors.jsonl"
