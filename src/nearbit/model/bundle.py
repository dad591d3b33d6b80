"""A trained model: what it is in memory, and how it lies on disk as a folder without pickle.

The folder holds `bundle.json` (what the model is, with the SHA-256 of every other file), `weights.safetensors`,
`centers.npy` and, where there are, `codebook.npy`, `assignment.npy`, `tie_break.npy`, `similarity.npy`, `split.json`,
`seen.json`.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from torch import nn

from nearbit.centers import CenterState, certify
from nearbit.codes import Codes, binarize, check_n_bits
from nearbit.datasets import Dataset, ImageSource, Split
from nearbit.encoding.fast import RowCaches, encode_frozen
from nearbit.encoding.feature_cache import FeatureStore, FloatRows
from nearbit.encoding.inputs import GivenImage
from nearbit.encoding.pipeline import Encoded, EncodeRequest, complete, request_of_given
from nearbit.encoding.preprocessing import AnyInput, input_from_dict, of_pixels
from nearbit.encoding.torch_backend import find_device, placed
from nearbit.errors import BundleError, MissingExtraError
from nearbit.files.tensors import tensors_written
from nearbit.files.writing import json_digest, sha256_of, whole_folder, write_json
from nearbit.given import path_of, plain
from nearbit.keywords import suggesting
from nearbit.model.arrays import (
    KNOWN_FILES,
    SIMILARITY,
    WEIGHTS,
    build_bounded,
    check_network,
    read_centers,
    read_similarity,
    read_weights,
    weight_shapes,
)
from nearbit.model.by_text import text_outputs
from nearbit.model.description import description_of
from nearbit.model.hub import model_folder
from nearbit.model.manifest import (
    NETWORK,
    SEEN,
    SPLIT,
    TRAINED,
    UNFIT,
    check_files,
    check_target,
    class_names,
    opened_whole,
    or_damaged,
    read_manifest,
    with_digest,
)
from nearbit.model.measured import OF_CODES, record_without
from nearbit.model.seen import NONE_SEEN, SeenImages, read_seen, read_split
from nearbit.names import counted
from nearbit.networks import BackboneSpec, HashNetwork, Head
from nearbit.networks.backbones import OWN
from nearbit.networks.heads import apply_head
from nearbit.networks.own import check_given, check_probe, rebuilt_own
from nearbit.progress import Progress, silent


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Model:
    """A trained hash network with all that belongs to it.

    Attributes:
        network: pixels to outputs.
        head: what kind of head it has: {"kind", "hidden", "dropout", "normalized"}.
        n_bits: length of its codes.
        classes: the names of the classes it was trained on.
        method: the name of the method, `method_options` its options.
        centers: the centers that the saved weights were trained towards.
        similarity: float64 `(n_classes, n_classes)`: what the centers followed, where they followed one.
        split: the split it was trained on, where it is known.
        seen_before: what its backbone had seen before, but for that, in the models that it comes from.
        record: how it was trained: options, history, validation figures, times, versions.
    """

    network: HashNetwork
    head: dict[str, Any]
    n_bits: int
    classes: tuple[str, ...]
    method: str
    method_options: dict[str, Any]
    centers: CenterState
    similarity: npt.NDArray[np.float64] | None = None
    split: Split | None = None
    seen_before: SeenImages = NONE_SEEN
    record: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        spec, classes = self.network.backbone.spec, counted(len(self.classes), "class", "classes")
        return f"Model({self.method!r}: {self.n_bits} bits, {classes}, backbone {spec.name!r})"

    @property
    def preprocessing(self) -> AnyInput:
        """What an image goes through before the network sees it; for a model of features, how wide they are."""
        return self.network.backbone.preprocessing

    @cached_property
    def model_id(self) -> str:
        """A SHA-256 over all that decides the codes: weights of backbone and head, and preprocessing."""
        head = {name: value.cpu().numpy().tobytes().hex() for name, value in self.network.head.state_dict().items()}
        return json_digest({"backbone": self.network.backbone.fingerprint(), "head": head, "n_bits": self.n_bits})

    @suggesting
    def outputs(
        self, images: Sequence[GivenImage] | npt.ArrayLike, *, device: str = "auto", progress: Progress = silent
    ) -> FloatRows:
        """Return the real-valued outputs of images: float32 `(n, n_bits)`, before tanh, in the order given.

        Args:
            images: paths, Pillow images, or uint8 arrays `(height, width, 3)` or `(height, width)`, in a list or in one
                array or tensor; for a model of features, these: real numbers `(n, width)`, an array or a tensor.
            device: "auto", "cpu", "cuda", …
            progress: called as images are encoded.

        Raises:
            ImageError: an image cannot be read; the message names each of the first few. Nothing is skipped.
            InputError: features of another width or type, or images where features are taken.
        """
        request = request_of_given(images, self.preprocessing)
        encoded = self.encode_source(request.source, request.rows, request.keys, device=device, progress=progress)
        return complete(encoded, self.n_bits)

    @suggesting
    def encode(
        self, images: Sequence[GivenImage] | npt.ArrayLike, *, device: str = "auto", progress: Progress = silent
    ) -> Codes:
        """Return the codes of images, or of features: uint8 `(n, ceil(n_bits / 8))`, in order; see `outputs`."""
        return binarize(self.outputs(images, device=device, progress=progress))

    @suggesting
    def outputs_of_text(
        self, texts: Sequence[str], *, weights: str | Path | None = None, prompts: Sequence[str] = ()
    ) -> FloatRows:
        """Return the outputs of texts: float32 `(n, n_bits)`, by which images are searched; see `TextEncoder.outputs`.

        Args:
            texts: such as "a red bird on snow".
            weights: a folder, or `hf:ORG/NAME@REVISION`, with the text part of the model of images and text whose image
                part is the frozen backbone; None for the one on the hub that the model names, as it was fetched then.
            prompts: texts about pictures such as those that are searched, which help; see `TextEncoder`.

        Raises:
            InputError, DataError, BundleError, MissingExtraError: see `nearbit.model.by_text.text_encoder`.
        """
        return text_outputs(self.network, self.n_bits, self.record, texts, weights, prompts)

    @suggesting
    def encode_text(
        self, texts: Sequence[str], *, weights: str | Path | None = None, prompts: Sequence[str] = ()
    ) -> Codes:
        """Return the codes of texts: uint8 `(n, ceil(n_bits / 8))`; `outputs_of_text` find more."""
        return binarize(self.outputs_of_text(texts, weights=weights, prompts=prompts))

    @suggesting
    def encode_dataset(
        self,
        dataset: Dataset,
        rows: npt.ArrayLike | None = None,
        *,
        device: str = "auto",
        cache: str | Path | FeatureStore | RowCaches | None = None,
        keep_features: bool = False,
        total: int | None = None,
        progress: Progress = silent,
    ) -> Encoded:
        """Return the outputs of rows of a data set; images that cannot be read are left out and listed.

        Args:
            dataset: where the images are.
            rows: which of them, by numbers, in that order, or by a bool for each; by default all.
            device: "auto", "cpu", "cuda", …
            cache: a folder that keeps what was computed, by content, so that repeated and interrupted runs compute
                nothing twice; or `row_cache(folder, device)`, which several calls share; or a `FeatureStore`.
            keep_features: whether the features of a frozen backbone are wanted too.
            total: how many images there are in all, where a data set is encoded bit by bit.
            progress: called as images are encoded.
        """
        chosen = dataset.chosen(rows)
        return self.encode_source(
            dataset.source,
            chosen.tolist(),
            [dataset.keys[row] for row in chosen],
            [dataset.digests[row] for row in chosen],
            device,
            cache,
            progress,
            keep_features=keep_features,
            total=total,
        )

    def encode_source(
        self,
        source: ImageSource,
        rows: Sequence[int],
        keys: Sequence[str],
        digests: Sequence[str] | None = None,
        device: str = "auto",
        cache: str | Path | FeatureStore | RowCaches | None = None,
        progress: Progress = silent,
        *,
        keep_features: bool = False,
        total: int | None = None,
    ) -> Encoded:
        """Encode rows of any image source; rows are cached by content where `digests` and `cache` are given."""
        place = find_device(device)
        request = EncodeRequest(source, rows, keys, digests)
        kept = cache if cache is None or isinstance(cache, RowCaches) else self.row_cache(cache, device)
        with placed(self.network, place):
            encoded = encode_frozen(
                self.network.backbone if self.is_frozen else self.network,
                self.preprocessing,
                request,
                what=self._rows_of,
                device=place,
                caches=kept,
                total=total,
                finish=partial(apply_head, self.network.head, n_bits=self.n_bits) if self.is_frozen else None,
                keep=keep_features and self.is_frozen,
                progress=progress,
            )
        return replace(encoded, outputs=encoded.outputs.reshape(-1, self.n_bits))

    @property
    def is_frozen(self) -> bool:
        """Whether the backbone was frozen: other models have it too, so its features are worth keeping."""
        return bool(self.record.get("regime") == "frozen")

    @cached_property
    def _rows_of(self) -> str:
        """Names what computes the rows that are cached: the frozen backbone, else the whole network."""
        return self.network.backbone.fingerprint() if self.is_frozen else self.model_id

    def row_cache(self, folder: str | Path | FeatureStore, device: str = "auto") -> RowCaches:
        """Return the caches of this model's rows of a device: features of a frozen backbone, else outputs."""
        feature_store = folder if isinstance(folder, FeatureStore) else FeatureStore(folder)
        return RowCaches(feature_store, "features" if self.is_frozen else "outputs", self._rows_of, find_device(device))

    def shortened(self, n_bits: int) -> "Model":
        """Return a model whose codes are the first bits of this one's; this one stays as it is.

        An output nearer to 0 than sums round can have the other sign. How good so few bits are was chosen by nobody,
        except where the method nests its lengths (ECH with `nested`): the record leaves out what was measured on the
        longer codes (`nearbit.model.measured`), and names the model that it comes from under `shortened_from`.

        Args:
            n_bits: at least 1, fewer than the model has.

        Raises:
            InputError: another number of bits.
        """
        n_bits = plain(n_bits)
        head, centers = self.network.head.shortened(n_bits), self.centers.shortened(n_bits)
        whole = {"model_id": self.model_id, "n_bits": self.n_bits, "validation_map": self.record.get("validation_map")}
        record = record_without(self.record, OF_CODES) | {
            "validation_map": None,
            "certificate": certify(centers.centers, self.similarity).to_dict() if len(centers.centers) > 1 else None,
            "shortened_from": self.record.get("shortened_from", whole),
        }
        network = HashNetwork(self.network.backbone, head).eval()
        return replace(self, network=network, n_bits=n_bits, centers=centers, record=record)

    def save(self, path: str | Path, *, network: bytes | None = None) -> None:
        """Write the model folder, whole or not at all; a folder that stands there is replaced.

        Of a backbone that is a module of your own the weights are kept, and a warning says how it is opened.

        Args:
            path: of the folder.
            network: this model for ONNX Runtime (`nearbit.encoding.fast.network_of`), for who searches without torch.

        Raises:
            BundleError: something else than a model stands at `path`.
        """
        target = path_of("path", path)
        check_target(target)
        if self.network.backbone.spec.name.startswith(OWN):
            kind = self.network.backbone.spec.config.get("class")
            warnings.warn(
                f"the folder holds the weights of {kind} and not its code: open it with load_model({target.name!r}, "
                "backbone=module), or export it to ONNX, which needs no module",
                stacklevel=2,
            )
        with whole_folder(target) as folder:
            with tensors_written(target):
                weights = {name: self._kept(value) for name, value in self.network.state_dict().items()}
                save_file(weights, folder / WEIGHTS)
            for name, array in self.centers.arrays().items():
                np.save(folder / f"{name}.npy", array, allow_pickle=False)
            if self.similarity is not None:
                np.save(folder / SIMILARITY, self.similarity, allow_pickle=False)
            if self.split is not None:
                self.split.save(folder / SPLIT)
            if self.seen_before:
                self.seen_before.save(folder / SEEN)
            if network is not None:
                (folder / NETWORK).write_bytes(network)
            files = {file.name: sha256_of(file) for file in sorted(folder.iterdir())}
            write_json(folder / "bundle.json", with_digest(description_of(self.network.backbone, self._about(), files)))

    def _about(self) -> dict[str, Any]:
        """Return what `bundle.json` says of the model beyond its backbone."""
        names = ("model_id", "method", "method_options", "n_bits", "head", "record")
        split_hash = None if self.split is None else self.split.hash
        return {name: getattr(self, name) for name in names} | {"classes": list(self.classes), "split_hash": split_hash}

    def _kept(self, value: torch.Tensor) -> torch.Tensor:
        """Return a weight as it is written: a copy, where a module may have two names for it."""
        is_own = self.network.backbone.spec.name.startswith(OWN)
        return value.detach().clone().contiguous() if is_own else value.contiguous()


@suggesting
def load_model(path: str | Path, *, backbone: nn.Module | None = None) -> Model:
    """Open a model folder after checking the hash of every file in it.

    Nothing in the folder is run as code, and a folder that asks for more than its weights hold is refused.

    Args:
        path: the folder that `Model.save` wrote, or `hf:ORG/NAME` for one on the Hugging Face hub (extra `[hub]`), with
            `@REVISION` behind it for another than the newest.
        backbone: for a model whose backbone is a module of your own: that module, with any weights (those of the model
            are put into a copy of it).

    Returns:
        The model, on the CPU, in evaluation mode.

    Raises:
        BundleError: there is no model, a file is missing, damaged or altered, or the format is newer than this nearbit.
        InputError: a backbone is given to a model that needs none.
        MissingExtraError: the library behind its backbone is not installed.
    """
    folder = model_folder(path)
    return opened_whole(folder, lambda: _load(folder, backbone))


def _load(folder: Path, backbone: nn.Module | None) -> Model:
    description = read_manifest(folder, TRAINED)
    if backbone is not None:
        check_given(folder, description, backbone)
    try:
        return _assemble(folder, description, backbone)
    except (BundleError, MissingExtraError):
        raise
    except UNFIT as error:
        raise BundleError(f"{folder} is not a complete model ({type(error).__name__}: {error})") from error


def _assemble(folder: Path, description: dict[str, Any], backbone: nn.Module | None) -> Model:
    files, n_bits = description["files"], check_n_bits(description["n_bits"])
    check_files(folder, files, KNOWN_FILES)
    classes = class_names(folder, description)
    split = read_split(folder, files, description["split_hash"])
    model = Model(
        network=_network(folder, description, n_bits, backbone),
        head=dict(description["head"]),
        n_bits=n_bits,
        classes=classes,
        method=str(description["method"]),
        method_options=dict(description["method_options"]),
        centers=read_centers(folder, files, len(classes), n_bits),
        similarity=read_similarity(folder, files, len(classes)),
        split=split,
        seen_before=read_seen(folder, files),
        record=dict(description["record"]),
    )
    if model.model_id != description["model_id"]:
        raise BundleError(f"{folder}: the weights are not those that bundle.json names")
    return model


def _network(folder: Path, description: dict[str, Any], n_bits: int, given: nn.Module | None) -> HashNetwork:
    spec = BackboneSpec(**description["backbone"])
    preprocessing = input_from_dict(description["preprocessing"])
    head = description["head"] | {"n_bits": n_bits}
    files = description["files"]
    own = rebuilt_own(given, spec, of_pixels(preprocessing, "a module")) if given is not None else None
    with or_damaged(folder, files, WEIGHTS):
        shapes = weight_shapes(folder)
        check_network(folder, spec, preprocessing, head, shapes, own)
    weights = read_weights(folder, files)
    backbone = own or build_bounded(folder, spec, preprocessing, shapes)
    network = HashNetwork(backbone, Head(spec.feature_dim, **head))
    network.load_state_dict(weights)
    if own is not None:
        check_probe(own, description["probe"])
    return network.eval()
