"""A new index for which no model is named: one that nobody trained is made for it, and lies beside it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click

from nearbit.cli.backbone_options import AUTO, THUMBNAIL, backbone_options, chosen_backbone
from nearbit.cli.console import Command
from nearbit.errors import InputError
from nearbit.progress import Progress

if TYPE_CHECKING:
    from nearbit.datasets import Dataset
    from nearbit.index import Place


def start_options(command: Command) -> Command:
    """Add the options of a new index without a model."""
    options = (
        *backbone_options("For a new INDEX without --model; auto: a pretrained one. "),
        click.option("--bits", "n_bits", type=click.IntRange(1), help="The same: length of its codes. [default: 128]"),
    )
    for option in reversed(options):
        command = option(command)
    return command


@dataclass(frozen=True, kw_only=True)
class Start:
    """What `start_options` are given as."""

    backbone: str = AUTO
    yes: bool = False
    n_bits: int | None = None

    @classmethod
    def taken_from(cls, given: dict[str, Any]) -> Self:
        """Return those among the options given, which are taken away from there."""
        return cls(**{one.name: given.pop(one.name) for one in fields(cls) if one.name in given})

    def refuse(self, model: Path) -> None:
        """Raise `InputError` for options that would do nothing because there is a model, which is not as they say."""
        from nearbit.model.hub import model_folder
        from nearbit.model.manifest import read_manifest

        if self.backbone == AUTO and self.n_bits is None:
            return
        said = read_manifest(model_folder(model))
        is_as_given = {
            "--backbone": self.backbone == AUTO or _is_called(self.backbone, said.get("backbone")),
            "--bits": self.n_bits in (None, said["n_bits"]),
        }
        for name, is_same in is_as_given.items():
            if not is_same:
                raise InputError(
                    f"{name} is for a new index without a model, and {model} makes the codes: leave it out"
                )


def _is_called(given: str, backbone: Any) -> bool:
    """Return whether a backbone as it is named on the command line is the one that a manifest describes."""
    if not isinstance(backbone, dict):  # of an exported network, its name alone
        return bool(given == backbone)
    name, pinned = backbone.get("name"), f"hf:{backbone.get('source')}"
    folder = Path(given.removeprefix("hf:"))
    is_folder = given.startswith("hf:") and folder.is_dir()
    return bool(f"hf:{folder.name}" == name == pinned) if is_folder else given in (name, pinned)


def model_folder_of(index_path: "Place", given: Path | None) -> Path | None:
    """Return the folder of the model whose codes go into an index: the one given, else the one that the index names.

    One that is given is checked as it is opened. None for a new index for which none is given, and for a blank file,
    as a command that was killed leaves it.
    """
    from nearbit.index import open_index
    from nearbit.index.homes import exists
    from nearbit.model.load import model_of_index, named_model

    if given is not None:
        return given
    if not exists(index_path):
        return None
    with open_index(index_path, read_only=True) as index:
        return model_of_index(index, None if named_model(index, None) else _made_beside(index_path, index.model_id))


def _made_beside(index_path: "Place", model_id: str | None) -> Path | None:
    """Return the folder INDEX.model of an index that does not name it yet: a command was killed before it did."""
    from nearbit.model.manifest import read_manifest

    if not isinstance(index_path, Path) or model_id is None:
        return None
    folder = _beside(index_path)
    return folder if folder.is_dir() and read_manifest(folder)["model_id"] == model_id else None


def _beside(index_path: Path) -> Path:
    """Return where the model of a new index lies."""
    return index_path.with_name(index_path.name + ".model")


def begun_model(
    index_path: "Place",
    dataset: "Dataset",
    start: Start,
    keep_outputs: str | None,
    *,
    device: str,
    cache: Path,
    progress: Progress,
) -> Path:
    """Make a model without training for a new index, and the index, still empty; return the folder of the model.

    One command at a time does so: a second one waits, and then takes the model that the first one made.
    """
    from nearbit.files.locking import locked
    from nearbit.index import create_index
    from nearbit.model.load import note_of_model
    from nearbit.model.manifest import read_manifest

    if not isinstance(index_path, Path):
        raise InputError(f"{index_path} lies in a server, beside which no model can be made: name one (--model FOLDER)")
    index_path.parent.mkdir(parents=True, exist_ok=True)
    waiting = f"waiting for the command that begins {index_path.name}"
    lock = index_path.with_name(f"{index_path.name}.model-lock")
    with locked(lock, lambda begins: progress(waiting, 0 if begins else 1, 1)):
        folder = model_folder_of(index_path, None)
        if folder is not None:  # another command has begun it meanwhile
            start.refuse(folder)
            return folder
        folder = _model_beside(index_path, dataset, start, device=device, cache=cache, progress=progress)
        said = read_manifest(folder)
        with create_index(
            index_path, said["n_bits"], model_id=said["model_id"], outputs=keep_outputs, exist_ok=True
        ) as index:
            index.set_notes(note_of_model(index, folder))
    return folder


def _model_beside(
    index_path: Path, dataset: "Dataset", start: Start, *, device: str, cache: Path, progress: Progress
) -> Path:
    """Make a model without training for a new index, save it as INDEX.model, and return that folder."""
    from nearbit.encoding.fast import network_of
    from nearbit.untrained import N_BITS, untrained_model

    folder = _beside(index_path)
    _check_place(folder)
    name = start.backbone
    if name == AUTO:
        name = chosen_backbone(None, agreed=start.yes, last_resort=THUMBNAIL)
    model = untrained_model(dataset, name, n_bits=start.n_bits or N_BITS, device=device, cache=cache, progress=progress)
    _check_same(folder, model.model_id)
    model.save(folder, network=network_of(model.network, model.preprocessing))
    return folder


def _check_place(folder: Path) -> None:
    """Refuse to replace anything but a model that was made so before."""
    from nearbit.model.manifest import check_target, read_manifest

    check_target(folder)
    if folder.exists() and not read_manifest(folder).get("record", {}).get("untrained"):
        raise InputError(f"{folder} stands where the model of a new index would lie: name it (--model {folder})")


def _check_same(folder: Path, model_id: str) -> None:
    """Refuse to replace a model by another one, which an index may need; a command that was cut short left the same."""
    from nearbit.model.manifest import read_manifest

    if folder.exists() and read_manifest(folder).get("model_id") != model_id:
        raise InputError(
            f"{folder} stands where the model of a new index would lie, and is another one, by which an index may be "
            f"searched: take it for this one (--model {folder}), or remove it if none needs it"
        )


def start_lines(index_path: "Place", sources: Sequence[str], model: Any) -> list[str]:
    """Return what a person should know of an index whose model nobody trained."""
    record = getattr(model, "record", {})
    if not record.get("untrained"):
        return []
    backbone = record["options"]["backbone"]
    lines = [f"codes without training: {backbone}, {model.method}", *_few_lines(model, index_path, sources)]
    if backbone == "thumbnail":
        lines.append("a first look only: colors and edges in their places, not what the images show")
    return [
        *lines,
        f"with labels: nearbit train {sources[0]} -o NEW.model, then nearbit index reencode {index_path} --model "
        "NEW.model",
    ]


def _few_lines(model: Any, index_path: "Place", sources: Sequence[str]) -> list[str]:
    """Return how much codes lose that were made from few images or from images that are all alike, and what helps."""
    is_random, n_directions = model.method == "random", model.record.get("n_directions", model.n_bits)
    if not is_random and n_directions >= model.n_bits:
        return []
    what = "random directions: these images vary" if is_random else "a frame of ITQ: the images that it saw vary"
    return [
        f"weak: {what} in fewer directions than the {model.n_bits} bits; with 60 photographs of cars about "
        f"{'2 in 5' if is_random else 'half'} of the 5 nearest by features were found as the 5 nearest by codes",
        f"better once there are more than {model.n_bits} different images, for those to come: nearbit index add "
        f"ANOTHER.index {sources[0]} (this index, {index_path}, keeps its model); fewer --bits gain nothing",
    ]
