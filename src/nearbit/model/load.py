"""What encodes images, whichever kind of folder it comes from, and which folder made an index.

Torch is loaded for trained models only.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, final

import numpy as np
import numpy.typing as npt

from nearbit.codes import check_n_bits
from nearbit.encoding.feature_cache import FloatRows
from nearbit.encoding.inputs import GivenImage
from nearbit.encoding.preprocessing import AnyInput, of_pixels
from nearbit.errors import BundleError, IndexFileError, InputError, MissingExtraError
from nearbit.files.writing import path_seen_from
from nearbit.model.hub import address_of, is_address, model_folder
from nearbit.model.manifest import EXPORTED, class_names, kind_of, opened_whole, read_class_signs, read_manifest
from nearbit.threads import given_threads

if TYPE_CHECKING:
    from nearbit.index import Home
    from nearbit.model.bundle import Model
    from nearbit.model.onnx import OnnxModel


class Encoder(Protocol):
    """What turns images into outputs for a service; its methods may be called from any thread."""

    @property
    def n_bits(self) -> int:
        """Length of the codes."""
        ...

    @property
    def model_id(self) -> str:
        """Names what makes the codes; codes of different ids are not compared."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes it was trained on."""
        ...

    @property
    def preprocessing(self) -> AnyInput:
        """What an image goes through before the network sees it."""
        ...

    def outputs(self, images: Sequence[GivenImage]) -> FloatRows:
        """Return the outputs of images: float32 `(n, n_bits)`; raise `ImageError` where one cannot be read."""
        ...


@final
class TorchEncoder:
    """A trained model as an `Encoder`: one call at a time uses the network, with a number of threads of its own."""

    def __init__(self, model: "Model", *, threads: int, device: str) -> None:
        self.model, self._threads, self._device = model, threads, device
        self._lock = threading.Lock()
        settle(model, device)
        self.n_bits, self.model_id, self.classes = model.n_bits, model.model_id, model.classes
        self.preprocessing = of_pixels(model.preprocessing, "a service that encodes images")

    def outputs(self, images: Sequence[GivenImage]) -> FloatRows:
        """Return the outputs of images: float32 `(n, n_bits)`; see `Model.outputs`."""
        with self._lock, _torch_threads(self._threads):
            return self.model.outputs(images, device=self._device)


def settle(model: "Model | OnnxModel", device: str) -> None:
    """Move the network of a trained model to a device for good; an exported one has none that moves.

    Raises:
        InputError: the device is not there, or has too little memory.
    """
    network = getattr(model, "network", None)
    if network is not None:
        from nearbit.encoding.torch_backend import find_device, put_on

        put_on(network, find_device(device))


@contextmanager
def staying(model: "Model | OnnxModel", device: str) -> Iterator[None]:
    """Have the network of a trained model on a device for many calls; an exported one has none that moves."""
    network = getattr(model, "network", None)
    if network is None:
        yield
        return
    from nearbit.encoding.torch_backend import find_device, placed

    with placed(network, find_device(device)):
        yield


@contextmanager
def _torch_threads(number: int) -> Iterator[None]:
    """Let torch compute with so many threads within the block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def load_any_model(folder: str | Path) -> "Model | OnnxModel":
    """Open a trained model or an exported network, as its `bundle.json` says; torch is loaded for the former only.

    Args:
        folder: where it lies, or `hf:ORG/NAME` (see `nearbit.model.hub.model_folder`).

    Raises:
        BundleError: there is none, or a file is missing, damaged or altered, or the format is newer.
        MissingExtraError: what it needs is not installed.
    """
    folder = model_folder(folder)
    if kind_of(folder) == EXPORTED:
        from nearbit.model.onnx import load_onnx_model

        return load_onnx_model(folder)
    from nearbit.model.bundle import load_model

    return load_model(folder)


def load_for_queries(folder: str | Path, *, device: str = "auto") -> "Model | OnnxModel":
    """Open what encodes a few images soonest: a trained model's own network for ONNX Runtime.

    Torch is not loaded then. Without such a network, without ONNX Runtime or with another device than the CPU this is
    `load_any_model`.
    """
    folder = model_folder(folder)
    return _own_network(folder, device, None) or load_any_model(folder)


def _own_network(folder: Path, device: str, threads: int | None) -> "OnnxModel | None":
    """Return a trained model's own network for ONNX Runtime; None where it has none, or it cannot be used here."""
    if device not in ("auto", "cpu") or kind_of(folder) == EXPORTED or find_spec("onnxruntime") is None:
        return None
    from nearbit.model.onnx import own_network

    return own_network(folder, threads=threads)


def load_encoder(folder: str | Path, *, threads: int | None = None, device: str = "auto") -> Encoder:
    """Open a trained model or an exported network for a service; of a model that holds a network, this one.

    Args:
        folder: what `nearbit train` or `nearbit export --onnx` wrote, or `hf:ORG/NAME`.
        threads: how many of them a network computes with on the CPU; None for `NEARBIT_THREADS`, else all cores.
        device: "auto", "cpu", "cuda", … for a trained model; an exported network runs on the CPU.

    Returns:
        an `Encoder`, which may be used from several threads at once.

    Raises:
        BundleError, MissingExtraError: see `load_any_model`.
        InputError: `threads` is below 1, the model takes features and no images, or an exported network is asked to
            run elsewhere than on the CPU.
    """
    count, folder = given_threads(threads), model_folder(folder)
    if kind_of(folder) == EXPORTED:
        from nearbit.model.onnx import check_device, load_onnx_model

        check_device(device)
        exported = load_onnx_model(folder, threads=count)
        of_pixels(exported.preprocessing, "a service that encodes images")
        return exported
    if own := _own_network(folder, device, count):
        return own
    from nearbit.model.bundle import load_model

    return TorchEncoder(load_model(folder), threads=count, device=device)


def model_of_index(index: "Home", given: Path | None = None) -> Path:
    """Return the folder of the model that made the codes of an index: the one given, else the one that the index names.

    The model is not loaded; its manifest is checked.

    Raises:
        InputError: none is given, and the index names none, or one that is not there.
        BundleError: there is no model, or its manifest was altered, or is of a newer format.
        IndexFileError: the index holds codes of another model.
    """
    folder = named_model(index, given)
    if folder is None:
        raise InputError(f"{index.address} names no model: give it (--model FOLDER)")
    if given is None and not folder.is_dir():
        note = index.notes()["model_path"]
        raise InputError(
            f"{index.address} names the model {note} beside it, which is not there: give it (--model FOLDER)"
        )
    if not _made(folder, index):
        raise IndexFileError(
            f"{index.address} holds codes of another model than {folder}: give the model that made them (--model)"
        )
    return folder


def model_at_hand(index: "Home", given: Path | None = None) -> Path | None:
    """Return the folder that `model_of_index` does; None where no model is there, or it did not make the codes.

    Of a folder that cannot be read it is not known; what is wrong is told where its files are asked for. A model on the
    hub that the index names is not there unless it was fetched before.
    """
    try:
        folder = named_model(index, given)
    except (BundleError, MissingExtraError):
        if given is not None:
            raise
        return None
    if folder is None or not (folder / "bundle.json").is_file():
        return None
    try:
        return folder if _made(folder, index) else None
    except BundleError:
        return folder


def named_model(index: "Home", given: Path | None) -> Path | None:
    """Return the folder that is given, else the one that a note of the index names, as seen from its own.

    None where neither names one. Nothing is checked or fetched of what a note names.
    """
    note = index.notes().get("model_path")
    if given is not None:
        return model_folder(given)
    if note is None:
        return None
    if is_address(note):  # a stranger's index must not make this machine ask for something elsewhere
        return model_folder(note, fetch=False)
    return Path(index.folder, note).resolve()


def note_of_model(index: "Home", folder: Path) -> dict[str, str]:
    """Return the note by which an index names its model: the address on the hub, or the path from its own folder."""
    return {"model_path": address_of(folder) or path_seen_from(index.folder, folder)}


def _made(folder: Path, index: "Home") -> bool:
    about = read_manifest(folder)
    return may_have_made(index, about["n_bits"], about["model_id"])


def may_have_made(index: "Home", n_bits: int, model_id: str) -> bool:
    """Return whether a model of these codes and this id made the codes of an index, as far as the index says."""
    return n_bits == index.n_bits and index.model_id in (None, model_id)


def centers_in(folder: Path) -> npt.NDArray[np.int8]:
    """Return the centers in a folder of a model or an exported network, which is not opened: torch is not loaded.

    Raises:
        BundleError: there is none, or what is read of it is damaged or altered.
    """

    def read() -> npt.NDArray[np.int8]:
        description = read_manifest(folder)
        n_classes = len(class_names(folder, description))
        return read_class_signs(folder, description["files"], n_classes, check_n_bits(description["n_bits"]))

    return opened_whole(folder, read)
