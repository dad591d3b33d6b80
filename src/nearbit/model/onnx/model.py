"""A trained network exported for ONNX Runtime: it encodes images without torch.

The folder holds `bundle.json` (what it is, with the SHA-256 of every other file), `network.onnx` and `centers.npy`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes, binarize, check_n_bits
from nearbit.datasets import Dataset
from nearbit.encoding.feature_cache import FeatureCache, FloatRows
from nearbit.encoding.inputs import GivenImage
from nearbit.encoding.pipeline import Encoded, EncodeRequest, complete, encode_source, request_of_given
from nearbit.encoding.preprocessing import AnyInput, input_from_dict
from nearbit.encoding.session import Session
from nearbit.encoding.versions import deciding_versions
from nearbit.errors import BundleError, InputError, MissingExtraError
from nearbit.files.writing import json_digest, restore_folder, sha256_of, whole_folder, write_json
from nearbit.given import path_of
from nearbit.model.manifest import (
    EXPORTED,
    FORMAT_VERSIONS,
    NETWORK,
    TRAINED,
    UNFIT,
    check_files,
    check_size,
    checked_bytes,
    class_names,
    kind_of,
    opened_whole,
    read_class_signs,
    read_manifest,
    with_digest,
)
from nearbit.names import counted
from nearbit.progress import Progress, silent
from nearbit.threads import given_threads

CENTERS = "centers.npy"
PRECISIONS = ("float32", "int8")
LARGEST_NETWORK = 2**31
"""Bytes that a file of ONNX, which is one message of protobuf, can have."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class OnnxModel:
    """A hash network in ONNX Runtime with all that is needed to encode; its methods may be called from any thread.

    Attributes:
        session: pixels to outputs.
        content: of the `.onnx` file.
        precision: "float32", or "int8" for a network with weights and activations of 8 bits.
        source_model_id: the id of the model that it was exported from.
        n_bits: length of its codes.
        classes: the names of the classes it was trained on.
        preprocessing: what an image goes through before the network sees it.
        centers: int8 `(n_classes, n_bits)`.
        about: what else is known: method, backbone, head, parity with the source, versions of libraries.
        split: None: what it was trained on stays with the source.
    """

    session: Session
    content: bytes
    precision: str
    source_model_id: str
    n_bits: int
    classes: tuple[str, ...]
    preprocessing: AnyInput
    centers: npt.NDArray[np.int8]
    about: dict[str, Any] = field(default_factory=dict)
    split: None = None

    def __repr__(self) -> str:
        method, classes = self.about.get("method"), counted(len(self.classes), "class", "classes")
        return f"OnnxModel({method!r}: {self.n_bits} bits, {classes}, {self.precision})"

    @property
    def model_id(self) -> str:
        """The id of the source for float32, whose codes are the same; for int8, whose bits differ, one of its own."""
        if self.precision == "float32":
            return self.source_model_id
        return json_digest({"source": self.source_model_id, "precision": self.precision, "weights": self._digest})

    @property
    def _digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def outputs(
        self, images: Sequence[GivenImage] | npt.ArrayLike, *, device: str = "auto", progress: Progress = silent
    ) -> FloatRows:
        """Return the real-valued outputs of images: float32 `(n, n_bits)`, before tanh, in the order given.

        Args:
            images: what the `Model` that it was exported from takes.
            device: "auto" or "cpu".
            progress: called as images are encoded.

        Raises:
            ImageError: an image cannot be read; the message names each of the first few. Nothing is skipped.
            InputError: another device is asked for.
        """
        return complete(self._encode(request_of_given(images, self.preprocessing), device, None, progress), self.n_bits)

    def encode(
        self, images: Sequence[GivenImage] | npt.ArrayLike, *, device: str = "auto", progress: Progress = silent
    ) -> Codes:
        """Return the codes of images: uint8 `(n, ceil(n_bits / 8))`, in the order given; see `outputs`."""
        return binarize(self.outputs(images, device=device, progress=progress))

    def encode_dataset(
        self,
        dataset: Dataset,
        rows: npt.ArrayLike | None = None,
        *,
        device: str = "auto",
        cache: str | Path | FeatureCache | None = None,
        total: int | None = None,
        progress: Progress = silent,
    ) -> Encoded:
        """Return the outputs of rows of a data set, by default all; unreadable images are left out and listed.

        A `cache` (a folder, or `row_cache(folder)`) keeps what was computed, by content. `total`, of a data set that is
        encoded bit by bit, is asked by a `Model` and has no part here.
        """
        chosen = dataset.chosen(rows)
        keys = [dataset.keys[row] for row in chosen]
        request = EncodeRequest(dataset.source, chosen.tolist(), keys, [dataset.digests[row] for row in chosen])
        kept = cache if cache is None or isinstance(cache, FeatureCache) else self.row_cache(cache, device)
        return self._encode(request, device, kept, progress)

    def row_cache(self, folder: str | Path, device: str = "auto") -> FeatureCache:
        """Open the cache of this network's outputs."""
        check_device(device)
        libraries = deciding_versions(("nearbit", "onnxruntime", "numpy", "pillow"))
        key = {"what": self.model_id, "network": self._digest, "device": "onnxruntime", "libraries": libraries}
        return FeatureCache(path_of("cache", folder) / "outputs", json_digest(key))

    def _encode(self, request: EncodeRequest, device: str, cache: FeatureCache | None, progress: Progress) -> Encoded:
        check_device(device)
        encoded = encode_source(self.session.run, self.preprocessing, request, cache=cache, progress=progress)
        return Encoded(encoded.outputs.reshape(-1, self.n_bits), encoded.rows, encoded.problems)

    def save(self, path: str | Path) -> None:
        """Write the folder, whole or not at all; an exported network that stands there is replaced.

        Raises:
            BundleError: something else stands at `path`.
        """
        target = Path(path)
        check_export_target(target)
        with whole_folder(target) as folder:
            (folder / NETWORK).write_bytes(self.content)
            np.save(folder / CENTERS, self.centers, allow_pickle=False)
            files = {file.name: sha256_of(file) for file in sorted(folder.iterdir())}
            write_json(folder / "bundle.json", with_digest(self._description(files)))

    def _description(self, files: dict[str, str]) -> dict[str, Any]:
        return {
            "kind": EXPORTED,
            "format_version": FORMAT_VERSIONS[EXPORTED],
            "model_id": self.model_id,
            "source_model_id": self.source_model_id,
            "precision": self.precision,
            "n_bits": self.n_bits,
            "classes": list(self.classes),
            "preprocessing": self.preprocessing.to_dict(),
            "about": self.about,
            "files": files,
        }


def check_export_target(path: Path) -> None:
    """Raise `BundleError` where something else than an exported network stands at `path`, a trained model too."""
    restore_folder(path)
    if path.exists() and not ((path / "bundle.json").is_file() and kind_of(path) == EXPORTED):
        raise BundleError(f"{path} stands and is not an exported network: choose another name")


def check_length(path: Path) -> None:
    """Raise `BundleError` where a file is longer than a network in one file can be."""
    if path.is_file() and path.stat().st_size > LARGEST_NETWORK:
        raise BundleError(f"{path} has more than 2 GiB, which no network in one file has")


def check_device(device: str) -> None:
    if device not in ("auto", "cpu"):
        raise InputError(f"an exported network runs on the CPU, not on {device!r}: take auto or cpu")


def load_onnx_model(path: str | Path, *, threads: int | None = None) -> OnnxModel:
    """Open the folder of an exported network after checking the hash of every file in it.

    Args:
        path: the folder that `nearbit export --onnx` wrote.
        threads: how many of them compute; None for `NEARBIT_THREADS`, else all cores.

    Raises:
        BundleError: there is no such folder, a file is missing, damaged or altered, or the format is newer.
        InputError: `threads` is below 1.
        MissingExtraError: ONNX Runtime is not installed.
    """
    folder, count = Path(path), given_threads(threads)
    return opened_whole(folder, lambda: _load(folder, count))


def own_network(path: str | Path, *, threads: int | None = None) -> OnnxModel | None:
    """Open the network for ONNX Runtime that a trained model holds; None where it holds none.

    Weights and split of the model are not read: the codes are those of the model but for outputs that are nearly 0.

    Args:
        path: the folder that `nearbit train` wrote.
        threads: see `load_onnx_model`.

    Raises:
        BundleError, InputError, MissingExtraError: see `load_onnx_model`.
    """
    folder, count = Path(path), given_threads(threads)
    return opened_whole(folder, lambda: _own(folder, count))


def _own(folder: Path, count: int) -> OnnxModel | None:
    description = read_manifest(folder, TRAINED)
    if NETWORK not in description["files"]:
        return None
    about = {"method": description.get("method"), "head": description.get("head")}
    said = {"precision": "float32", "source_model_id": description["model_id"], "about": about}
    files = {name: description["files"].get(name) for name in (NETWORK, CENTERS)}
    return _fitting(folder, description | said | {"files": files}, count)


def _load(folder: Path, count: int) -> OnnxModel:
    return _fitting(folder, read_manifest(folder, EXPORTED), count)


def _fitting(folder: Path, description: dict[str, Any], count: int) -> OnnxModel:
    try:
        return _assemble(folder, description, count)
    except (BundleError, MissingExtraError):
        raise
    except UNFIT as error:
        raise BundleError(f"{folder} is not a complete network ({type(error).__name__}: {error})") from error


def _assemble(folder: Path, description: dict[str, Any], threads: int) -> OnnxModel:
    files, n_bits = description["files"], check_n_bits(description["n_bits"])
    check_files(folder, files, (NETWORK, CENTERS))
    if description["precision"] not in PRECISIONS:
        raise BundleError(f"{folder}: the precision {description['precision']!r} is none of {', '.join(PRECISIONS)}")
    preprocessing = input_from_dict(description["preprocessing"])
    check_size(folder, preprocessing)
    classes = class_names(folder, description)
    centers = read_class_signs(folder, files, len(classes), n_bits)
    check_length(folder / NETWORK)
    content = checked_bytes(folder, files, NETWORK)
    model = OnnxModel(
        session=Session(content, takes=preprocessing.takes, n_outputs=n_bits, threads=threads),
        content=content,
        precision=description["precision"],
        source_model_id=str(description["source_model_id"]),
        n_bits=n_bits,
        classes=classes,
        preprocessing=preprocessing,
        centers=centers,
        about=dict(description["about"]),
    )
    if model.model_id != description["model_id"]:
        raise BundleError(f"{folder}: the network is not the one that bundle.json names")
    return model
