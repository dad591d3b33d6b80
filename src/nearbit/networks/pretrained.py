"""The pretrained backbone that is taken where none is named: which one it is, and whether it is here."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import final

from nearbit.files.checkpoints import HUB_FILES, download_command, fetched_before
from nearbit.files.hub import parsed, snapshot


@final
@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A backbone on the Hugging Face hub.

    Attributes:
        address: `hf:ORG/NAME@COMMIT`: a commit names the very weights.
        licence: as its owner states it.
        megabytes: of its weights.
        about: what it is, in a few words.
    """

    address: str
    licence: str
    megabytes: int
    about: str

    @property
    def name(self) -> str:
        """`hf:ORG/NAME`."""
        return self.address.partition("@")[0]

    @property
    def words(self) -> str:
        """What a person agrees to: name, what it is, licence and size."""
        return f"{self.name} ({self.about}; {self.licence}, {self.megabytes} MB)"

    def is_here(self) -> bool:
        """Return whether all of it was fetched before."""
        return fetched_before(parsed(self.address)) is not None

    def fetch(self) -> None:
        """Fetch it once, through the hub's own client; its bar is shown on a terminal.

        Raises:
            BundleError: it cannot be had.
            MissingExtraError: the client is not installed.
        """
        snapshot(parsed(self.address), HUB_FILES, f"the backbone {self.name}", get=self.command())

    def command(self, folder: str | None = None) -> str:
        """Return the hub's own command that fetches it: to where it is looked for, or to a folder."""
        return download_command(parsed(self.address), folder)


DEFAULT = Pretrained(
    address="hf:facebook/dinov2-small@ed25f3a31f01632728cabb09d1542f84ab7b0056",
    licence="Apache-2.0",
    megabytes=88,
    about="DINOv2, ViT-S/14, 384 features",
)


def can_open() -> bool:
    """Return whether the library is installed that opens backbones of the hub."""
    return find_spec("transformers") is not None
