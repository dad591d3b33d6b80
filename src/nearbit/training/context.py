"""What every run begins with: checked data, a device, a backbone and its regime, and features of a frozen one."""

import copy
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from nearbit.datasets import Dataset, Problem, Split
from nearbit.encoding.fast import RowCaches, Way, chosen_way, encode_frozen
from nearbit.encoding.feature_cache import FeatureStore, FloatRows, feature_store_of
from nearbit.encoding.pipeline import Encoded, EncodeRequest
from nearbit.encoding.preprocessing import of_pixels
from nearbit.encoding.torch_backend import encode_images
from nearbit.encoding.versions import deciding_versions
from nearbit.errors import InputError, TrainingError
from nearbit.files.writing import json_digest
from nearbit.methods import Regime
from nearbit.metrics.kept import images_per_class
from nearbit.model.seen import NONE_SEEN, SeenImages, seen_in
from nearbit.networks import Backbone, HashNetwork, Head, HeadKind
from nearbit.networks.backbones import OWN
from nearbit.networks.external import BATCH_NORM_MOMENTUM
from nearbit.networks.own import warn_of_norms
from nearbit.progress import Progress, silent
from nearbit.training.batch_norm import resolve_batch_norm
from nearbit.training.compiling import check_compiler
from nearbit.training.criterion import Criterion, is_trained_on, searched_by_validation
from nearbit.training.distributed.processes import Processes, current_processes
from nearbit.training.inputs.batches import FeatureInputs, PixelInputs, Positions, TrainingInputs
from nearbit.training.inputs.decoded import DecodedParts
from nearbit.training.inputs.feeding import PixelReader
from nearbit.training.options import (
    TrainOptions,
    check_augmentation,
    mirrors,
    resolve_precision,
    resolve_regime,
)
from nearbit.training.seeds import torch_seeded
from nearbit.training.starting import starting_backbone


@final
class RunContext:
    """Data, device, backbone and regime of a run.

    Attributes:
        dataset, split, options: as given; the split is checked.
        cache: the folder of what can be computed again, or None; `feature_store` holds its feature caches.
        parts: the rows of "train" and "validation"; `labels` are theirs.
        processes: those that share the work.
        device: where the networks are.
        backbone: as it starts.
        regime, precision, batch_norm: what the options mean for that backbone and device.
        is_second: whether it is of the second of two steps, whose options say something of the first, too.
        seen_before: the images that the backbone has seen before the run, in trained models that it comes from.
    """

    def __init__(
        self,
        dataset: Dataset,
        split: Split,
        options: TrainOptions,
        cache: str | Path | FeatureStore | None,
        *,
        is_second: bool = False,
        seen_before: SeenImages = NONE_SEEN,
    ) -> None:
        self.dataset, self.split, self.options, self.is_second = dataset, split, options, is_second
        self._computed: dict[tuple[int, str], FeatureInputs] = {}
        self._references: dict[tuple[str, int], float] = {}
        self.feature_store = feature_store_of(cache)
        self.cache = None if self.feature_store is None else self.feature_store.folder
        self.parts = {"train": split.train, "validation": split.validation}
        self.labels = {part: dataset.labels[rows] for part, rows in self.parts.items()}
        self.processes = current_processes()
        self._decoded = DecodedParts(dataset.source, self.cache, options.keep_decoded, self.processes)
        self.device = self.processes.device(options.device)
        with torch_seeded(options.seed, "backbone"):
            self.backbone, seen = starting_backbone(dataset, split, options)
        self.seen_before = seen_before | seen
        self._start = self.backbone.fingerprint()
        self.backbone.to(self.device)
        self.regime: Regime = resolve_regime(options, pretrained=self.backbone.spec.pretrained)
        if self.regime == "fine-tuned" and not any(True for _ in self.backbone.parameters()):
            raise _nothing_to_train(self.backbone.spec.name, options)
        self.batch_norm = resolve_batch_norm(options, self.regime, self.backbone)
        if self.batch_norm == "batch" and self.backbone.spec.name.startswith(OWN):
            warn_of_norms(self.backbone.module)
        check_augmentation(options, self.regime)
        if options.compile:
            _check_compile(self.processes, self.device)
        _check_share(self.processes, self.regime, len(split.train))
        self.precision = resolve_precision(options.precision, self.device, self.regime)

    def with_options(self, options: TrainOptions) -> Self:
        """Return the context of another run on the same features: with other options of what is trained on them."""
        other = copy.copy(self)  # what one of them computes, the other has, too
        other.options = options
        other.precision = resolve_precision(options.precision, self.device, self.regime)
        return other

    @property
    def knows_training_images(self) -> bool:
        """Whether the backbone was trained on some of the training images before the run."""
        trained = (self.split.digests[row] for row in self.split.train.tolist())
        return self.is_second or not self.seen_before.trained.isdisjoint(trained)

    def seen_elsewhere(self) -> SeenImages:
        """Return the images that the backbone has seen before the run and that the split does not name as seen."""
        return self.seen_before - seen_in(self.split)

    def key(self, **more: Any) -> str:
        """Name a run by all that decides its result: data, options, backbone, libraries, and what is given besides."""
        return json_digest(
            {
                "dataset": self.dataset.fingerprint,
                "split": self.split.hash,
                "options": self.recorded_options(),
                "backbone_fingerprint": self._start,
                "libraries": deciding_versions(),
                "threads": torch.get_num_threads(),
                "device": self._place(),
                "precision": self.precision,
                "processes": self.processes.count,
            }
            | ({} if self.way == "torch" else {"encoder": self.way})
            | ({} if self._mirrors_as_usual else {"mirror": False})
            | ({"batch_norm": "fixed"} if self.batch_norm == "fixed" else {})
            | ({"batch_norm": BATCH_NORM_MOMENTUM} if self._trains_other_norms else {})
            | more
        )

    @property
    def _trains_other_norms(self) -> bool:
        """Whether batch normalisation is trained whose momentum is another than its library gives it."""
        return self.batch_norm == "batch" and bool(getattr(self.backbone.module, "has_other_norms", False))

    @property
    def _mirrors_as_usual(self) -> bool:
        """Whether the data set leaves mirroring as it is where it says nothing, or has no say in it.

        Keys name the data set by its images and labels, and not by this.
        """
        augments = self.regime != "frozen" or self.options.views > 1
        return self.dataset.mirror or self.options.augment != "auto" or not augments

    def _place(self) -> str:
        """Name the device: with several processes, which have a GPU each, only what kind it is."""
        return self.device.type if self.processes.several else str(self.device)

    def recorded_options(self) -> dict[str, Any]:
        """Return the options as they are recorded: a backbone in a folder by its name, not by where it lies."""
        options = self.options.to_dict() | {"backbone": self.backbone.spec.name}
        if self.batch_norm == ("fixed" if self.regime == "fine-tuned" else "batch"):  # as if nothing had been said
            options.pop("batch_norm", None)
        return options

    def record(self) -> dict[str, Any]:
        """Return what a model's record says of the run, whatever the method."""
        return {
            "regime": self.regime,
            "options": self.recorded_options(),
            "n_train": len(self.split.train),
            "n_validation": len(self.split.validation),
            "dataset": self.dataset.name,
            "dataset_fingerprint": self.split.fingerprint,
            "device": self._place(),
            "precision": self.precision,
            "processes": self.processes.count,
            "threads": torch.get_num_threads(),
            "encoder": self.way,
            **({} if self.batch_norm is None else {"batch_norm": self.batch_norm}),
        }

    def reference(self) -> dict[str, Any] | None:
        """Return what the frozen features give on validation without codes.

        None where there is no such figure, or where codes of training images that were learnt by heart stand beside it.
        """
        criterion = self.criterion(1)  # of features: the length of codes has no part in it
        if criterion is None or criterion.by_heart or self.regime != "frozen":
            return None
        key = (criterion.searched, criterion.seed)
        if key not in self._references:
            parts = self.feature_inputs(silent).parts
            rows = criterion.positions()
            self._references[key] = criterion.float_score(
                {part: np.asarray(parts[part].cpu().numpy()[own]) for part, own in rows.items()}
            )
        return {
            "float_cosine_map": self._references[key],
            "images_per_class": images_per_class(self.labels["train"]),
        }

    def network(
        self, n_outputs: int, kind: HeadKind, *, normalized: bool = False, own: Mapping[str, Any] | None = None
    ) -> HashNetwork:
        """Return a network that is about to be trained: the start's backbone (a copy unless frozen), and a new head."""
        frozen = self.regime == "frozen"
        backbone = self.backbone if frozen else copy.deepcopy(self.backbone)
        backbone.keeps_statistics = self.batch_norm == "fixed"
        with torch_seeded(self.options.seed, "head"):
            head = Head(
                backbone.spec.feature_dim,
                n_outputs,
                kind,
                hidden=self.options.hidden,
                dropout=self.options.dropout,
                normalized=normalized,
                own=own,
            ).to(self.device)
        return HashNetwork(backbone, head).to(self.device)

    def criterion(self, n_bits: int, by: Literal["codes", "cosine"] = "codes") -> Criterion | None:
        """Return what scores validation images by codes of a length; None without labelled validation images."""
        labels = self.labels["validation"]
        if not labels.any():
            return None
        searched = searched_by_validation(self.split, labels, self.options.validate_against)
        return Criterion(
            searched=searched,
            train_labels=self.labels["train"],
            validation_labels=labels,
            n_bits=n_bits,
            seed=self.options.seed,
            by_heart=searched == "train" and not is_trained_on(self.split),
            by=by,
        )

    def inputs(self, backbone: Backbone, progress: Progress, *, all_plain: bool = False) -> TrainingInputs:
        """Return what a network of that backbone is trained on: features where it is frozen, else pixels.

        Args:
            backbone: of the network.
            progress: told of what is computed or decoded before.
            all_plain: whether plain outputs of all training images are wanted in each epoch, not only of those that
                validation searches.
        """
        if self.regime == "frozen":
            return self.feature_inputs(progress)
        seen = of_pixels(backbone.preprocessing, "training on images")
        train, validation = self.parts["train"], self.parts["validation"]
        plain = {"validation": self._decoded.source_of({seen.resize: validation}, progress)}
        wanted = {seen.augment_side: train}
        wanted.setdefault(seen.resize, train if all_plain else train[self._searched()])
        plain["train"] = self._decoded.source_of(wanted, progress)
        reader = PixelReader(
            plain["train"],
            self.dataset.keys,
            seen,
            augment=self.options.augment != "none",
            mirror=mirrors(self.options, dataset_mirror=self.dataset.mirror),
        )
        parts = self.parts | {"query": self.split.query, "database": self.split.database}
        return PixelInputs(self.dataset, reader, parts, self.device, n_workers=self.options.workers, plain=plain)

    def _searched(self) -> Positions:
        """Return which training images validation searches."""
        criterion = self.criterion(1)  # of images: the length of codes has no part in it
        none = np.zeros(0, np.int64)
        return none if criterion is None else criterion.positions().get("train", none)

    def forget_decoded(self) -> None:
        """Remove what is kept of decoded images: nothing more is trained on them here."""
        self._decoded.forget()

    def feature_inputs(self, progress: Progress) -> FeatureInputs:
        """Return the features of the frozen backbone, computed once."""
        shown = (self.options.views, self.options.augment)
        if shown not in self._computed:
            self.backbone.to(self.device).eval()
            views = [self._features("train", view, progress) for view in range(self.options.views)]
            validation = self._features("validation", 0, progress) if len(self.split.validation) else views[0][:0]
            self._computed[shown] = FeatureInputs(views, validation, self.device)
        return self._computed[shown]

    def train_features(self, progress: Progress) -> FloatRows:
        """Return the backbone's features of the plain training images: float32 `(n, feature_dim)`."""
        return np.asarray(self.feature_inputs(progress).parts["train"].cpu().numpy())

    def thumbnails(self, progress: Progress) -> FloatRows:
        """Return the plain training images at 8 x 8 pixels, their colors from 0 to 1: float32 `(n, 192)`."""
        rows = self.split.train.tolist()
        request = EncodeRequest(self.dataset.source, rows, [self.dataset.keys[row] for row in rows])
        preprocessing = self.backbone.preprocessing
        encoded = encode_images(Thumbnails(), preprocessing, request, device=self.device, progress=progress)
        return _complete(encoded)

    def cache_features(self, rows: Sequence[int], progress: Progress) -> tuple[Problem, ...]:
        """Put the features of any rows of the data set into the cache; return the images that cannot be read."""
        return self.plain_features(rows, progress).problems

    def plain_features(self, rows: Sequence[int], progress: Progress) -> Encoded:
        """Return the backbone's features of any rows of the data set, from the cache where they are there."""
        self.backbone.to(self.device).eval()
        return self._encoded(rows, "all", 0, progress)

    def _features(self, part: str, view: int, progress: Progress) -> FloatRows:
        return _complete(self._encoded(self.parts[part].tolist(), part, view, progress))

    def _encoded(self, rows: Sequence[int], part: str, view: int, progress: Progress) -> Encoded:
        digests = [self.dataset.digests[row] for row in rows]
        request = EncodeRequest(self.dataset.source, rows, [self.dataset.keys[row] for row in rows], digests)
        mirror = mirrors(self.options, dataset_mirror=self.dataset.mirror)
        return encode_frozen(
            self.backbone,
            self.backbone.preprocessing,
            request,
            what=self._start,
            device=self.device,
            caches=self._caches(f"/view {view} {mirror}" if view else ""),
            way=self.way,
            reader=self._augmented(view, mirror) if view else None,
            stage=f"Features of {part} images" + (f", view {view + 1}" if view else ""),
            progress=progress,
        )

    def _caches(self, view: str = "") -> RowCaches | None:
        """Return the caches of the backbone's features."""
        if self.feature_store is None:
            return None
        return RowCaches(self.feature_store, "features", self._start, self.device, view)

    @cached_property
    def way(self) -> Way:
        """What computes the features of a frozen backbone, the same for all of a run.

        In the second of two steps what lies in the cache has no say, since the backbone is another when it is planned.
        """
        if self.regime != "frozen":
            return "torch"
        rows = np.concatenate(list(self.parts.values())).tolist()
        digests = [self.dataset.digests[row] for row in rows]
        caches = None if self.is_second else self._caches()
        return chosen_way(self.backbone.preprocessing, self.device, len(rows), caches, digests)

    def _augmented(self, view: int, mirror: bool) -> Any:
        preprocessing = of_pixels(self.backbone.preprocessing, "an augmented view")

        def read(row: int) -> Any:
            rng = np.random.default_rng([view, int(self.dataset.digests[row][:15], 16)])
            image = self.dataset.source.read(row, at_least=preprocessing.augment_side)
            return preprocessing.augment(image, rng, mirror=mirror)

        return read


class Thumbnails(nn.Module):
    """Pixels uint8 `(n, 3, size, size)` to their means over 8 x 8 fields: float `(n, 192)`, from 0 to 1."""

    def forward(self, pixels: Tensor) -> Tensor:
        return adaptive_avg_pool2d(pixels.float() / 255, 8).flatten(1)


def _complete(encoded: Encoded) -> FloatRows:
    """Return the rows of all images; raise `TrainingError` where one could not be read."""
    if encoded.problems:
        problem = encoded.problems[0]
        raise TrainingError(f"an image cannot be read any more: {problem.path}: {problem.reason}")
    return encoded.outputs


def _nothing_to_train(backbone: str, options: TrainOptions) -> InputError:
    """Return the error of a backbone that has no weights, where all of a network is to be trained."""
    what = f"the backbone {backbone} has no weights that could be trained"
    if options.preset is not None:
        return InputError(
            f"{what}, and the recipe {options.preset} trains the whole network: take another backbone (--backbone), or "
            "leave the preset (--preset) out"
        )
    return InputError(f"{what}: leave regime {options.regime!r} (--regime) out")


def _check_compile(processes: Processes, device: torch.device) -> None:
    """Raise where a network cannot be compiled here."""
    if processes.several:
        raise InputError(
            "a network that several processes train cannot be compiled, since they speak to one another within its "
            "passes (batch normalisation, gradients while others are computed): leave compile (--compile) out, or "
            "train in one process"
        )
    check_compiler(device)


def _check_share(processes: Processes, regime: Regime, n_train: int) -> None:
    """Raise where several processes have no share of the work."""
    if processes.several and regime == "frozen":
        raise InputError(
            "features of a frozen backbone are computed once and a head is trained on them in seconds, in one process: "
            "start it without torchrun, or train the whole network (--regime fine-tuned)"
        )
    if processes.count > n_train:
        raise TrainingError(f"{processes.count} processes share {n_train} training images: start fewer")
