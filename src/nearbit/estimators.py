"""Closed-form codes in the manner of scikit-learn: `ITQ(n_bits=64).fit(X).transform(X)`.

They are the baselines of `nearbit.methods` as estimators, which can be cloned and stand in a `Pipeline`; scikit-learn
itself is not needed. A file of `save` is safetensors: nothing in it runs as code.
"""

import inspect
import json
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self, final

import numpy as np
import numpy.typing as npt
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from nearbit.codes import Codes, binarize, check_n_bits, signs_of
from nearbit.datasets.arrays import feature_matrix
from nearbit.datasets.arrays.labels import given_labels
from nearbit.encoding.feature_cache import FloatRows
from nearbit.errors import BundleError, InputError, did_you_mean
from nearbit.files.tensors import header_of, tensors_read, tensors_written
from nearbit.files.writing import write_whole
from nearbit.given import check_choice, plain
from nearbit.json_text import parse_json
from nearbit.keywords import generator_of, suggesting
from nearbit.methods import ITQ as ITQ_METHOD
from nearbit.methods import PCA as PCA_METHOD
from nearbit.methods import RANDOM as RANDOM_METHOD
from nearbit.methods import RIDGE as RIDGE_METHOD
from nearbit.methods import Baseline
from nearbit.networks import Head
from nearbit.networks.bounded import shapes_alone
from nearbit.networks.heads import apply_head

OUTPUTS = ("codes", "signs", "outputs")
FORMAT, VERSION = "nearbit estimator", "1"


class _Given:
    """Features and labels as a baseline looks at them."""

    def __init__(self, features: FloatRows, labels: npt.NDArray[np.bool_]) -> None:
        self._features, self.labels = features, labels

    def features(self) -> FloatRows:
        return self._features

    def plain_views(self) -> list[FloatRows]:
        return [self._features]

    def logits(self, epochs: int | None) -> FloatRows:
        raise InputError("a closed form trains no classifier")

    def classifier(self, epochs: int | None) -> Head:
        raise InputError("a closed form trains no classifier")


class Estimator:
    """Codes of features in closed form; abstract, see `ITQ`, `PCA`, `Random` and `Ridge`.

    After `fit`: `n_features_in_`, `n_bits_`, `head_` (a linear map as a torch module) and, where labels were given,
    `classes_`. Parameters that are set afterwards count from the next `fit` on, but for `output`.
    """

    baseline: ClassVar[Baseline]
    n_bits: int
    output: str
    seed: int

    @abstractmethod
    def __init__(self) -> None:
        """Take the parameters by name, as they are; they are checked by `fit`."""

    def fit(self, X: npt.ArrayLike, y: Any = None) -> Self:
        """Learn the map from features.

        Args:
            X: real numbers `(n, width)`, an array or a torch tensor.
            y: labels in any form that `nearbit.from_features` takes; needed by supervised estimators, else looked at
                by none.

        Raises:
            InputError: a parameter, features or labels of a wrong form; fewer directions than bits; labels missing.
        """
        self._check()
        features = feature_matrix(X)
        if len(features) < 2:
            raise InputError(f"expected at least 2 rows to learn from, came {len(features)}")
        labels, classes = given_labels(y if self.baseline.needs_labels else None, len(features), None)
        if self.baseline.needs_labels and (len(classes) < 2 or not labels.any(axis=1).all()):
            raise InputError(f"{type(self).__name__} needs labels y of at least 2 classes, one or more for each row")
        options = self.baseline.with_options(self._own_options())
        rng = generator_of(None, self.seed, needed=True)
        n_bits = check_n_bits(self.n_bits)
        self.head_ = self.baseline.fit(_Given(features, labels), n_bits, options, rng).head.eval()
        self.n_bits_ = n_bits
        self.n_features_in_ = features.shape[1]
        self.classes_ = np.array(classes)
        return self

    def transform(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return what `output` names: "codes" uint8 `(n, ceil(n_bits / 8))`, "signs" int8 or "outputs" float32.

        Raises:
            InputError: not fitted, or features of another width or form.
        """
        self._check()
        outputs = self.outputs(X)
        if self.output == "outputs":
            return outputs
        return binarize(outputs) if self.output == "codes" else signs_of(outputs)

    def fit_transform(self, X: npt.ArrayLike, y: Any = None) -> npt.NDArray[Any]:
        """Return `fit(X, y).transform(X)`."""
        return self.fit(X, y).transform(X)

    def outputs(self, X: npt.ArrayLike) -> FloatRows:
        """Return the real-valued outputs, whose signs are the bits: float32 `(n, n_bits)`."""
        if not hasattr(self, "head_"):
            raise InputError(f"{type(self).__name__} is not fitted: call fit(X) first")
        return apply_head(self.head_, feature_matrix(X, self.n_features_in_), self.n_bits_)

    def encode(self, X: npt.ArrayLike) -> Codes:
        """Return the codes, whatever `output` says: uint8 `(n, ceil(n_bits / 8))`."""
        return binarize(self.outputs(X))

    @classmethod
    def _names(cls) -> tuple[str, ...]:
        return tuple(inspect.signature(cls).parameters)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name."""
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self, **given: Any) -> Self:
        """Set parameters by name; an unknown one is an `InputError` that suggests the near one."""
        for name, value in given.items():
            if name not in self._names():
                raise InputError(f"{type(self).__name__} has no parameter {name!r}.{did_you_mean(name, self._names())}")
            setattr(self, name, value)
        return self

    def save(self, path: str | Path) -> None:
        """Write the fitted estimator as one safetensors file, whole or not at all, in the place of one there."""
        if not hasattr(self, "head_"):
            raise InputError(f"{type(self).__name__} is not fitted: there is nothing to save")
        about = {
            "format": FORMAT,
            "version": VERSION,
            "estimator": type(self).__name__,
            "parameters": json.dumps({name: plain(value) for name, value in self.get_params().items()}),
            "classes": json.dumps(self.classes_.tolist()),
            "head": json.dumps(self.head_.spec),
            "width": str(self.n_features_in_),
            "n_bits": str(self.n_bits_),
        }
        with tensors_written(Path(path)):
            weights = {name: value.contiguous() for name, value in self.head_.state_dict().items()}
            content = save_tensors(weights, about)
        write_whole(Path(path), lambda aside: _write(aside, content))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote, of this kind of estimator.

        Raises:
            BundleError: no such file, a damaged one, or of another estimator.
        """
        found = load(path)
        if not isinstance(found, cls):
            raise BundleError(f"{path} holds a {type(found).__name__}: read it by {type(found).__name__}.load")
        return found

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.get_params().items())
        return f"{type(self).__name__}({shown})"

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "head_")

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=self.baseline.needs_labels),
            transformer_tags=TransformerTags(preserves_dtype=[]),
            input_tags=InputTags(),
        )

    def _own_options(self) -> dict[str, Any]:
        return {name: value for name, value in self.get_params().items() if name not in ("n_bits", "output", "seed")}

    def _check(self) -> None:
        check_n_bits(self.n_bits)
        check_choice("output", self.output, OUTPUTS)


@suggesting
@final
class ITQ(Estimator):
    """Principal components, rotated so that their signs lose least; needs no labels.

    With `frame_from` above 0, features that vary in fewer directions than bits, but in so many at least, get a frame.
    Source: Gong and Lazebnik, CVPR 2011. Deterministic for a seed.

    Example:
        >>> X = np.random.default_rng(0).normal(size=(100, 32))
        >>> ITQ(n_bits=16).fit(X).transform(X).shape
        (100, 2)
    """

    baseline = ITQ_METHOD

    def __init__(
        self, n_bits: int = 64, *, iterations: int = 50, frame_from: int = 0, output: str = "codes", seed: int = 0
    ) -> None:
        self.n_bits, self.iterations, self.output, self.seed = n_bits, iterations, output, seed
        self.frame_from = frame_from


@suggesting
@final
class PCA(Estimator):
    """Signs of the principal components of features; needs no labels."""

    baseline = PCA_METHOD

    def __init__(self, n_bits: int = 64, *, output: str = "codes", seed: int = 0) -> None:
        self.n_bits, self.output, self.seed = n_bits, output, seed


@suggesting
@final
class Random(Estimator):
    """Signs of projections to random directions; needs no labels."""

    baseline = RANDOM_METHOD

    def __init__(self, n_bits: int = 64, *, output: str = "codes", seed: int = 0) -> None:
        self.n_bits, self.output, self.seed = n_bits, output, seed


@suggesting
@final
class Ridge(Estimator):
    """Ridge-ECH: expected centers in closed form, from a ridge regression of the classes; needs labels."""

    baseline = RIDGE_METHOD

    def __init__(
        self,
        n_bits: int = 64,
        *,
        regularization: float = 1.0,
        feature_weight: float = 0.5,
        sharpness: float = 40.0,
        rotation_weight: float = 0.75,
        iterations: int = 50,
        output: str = "codes",
        seed: int = 0,
    ) -> None:
        self.n_bits, self.output, self.seed = n_bits, output, seed
        self.regularization, self.feature_weight, self.sharpness = regularization, feature_weight, sharpness
        self.rotation_weight, self.iterations = rotation_weight, iterations


ESTIMATORS: dict[str, type[Estimator]] = {one.__name__: one for one in (ITQ, PCA, Random, Ridge)}


def load(path: str | Path) -> Estimator:
    """Read an estimator of any kind that `Estimator.save` wrote; nothing in the file is run.

    Raises:
        BundleError: no such file, a damaged one, or something else.
    """
    header = parse_json(header_of(Path(path), BundleError), f"the header of {path}", BundleError)
    about = header.get("__metadata__") if isinstance(header, dict) else None
    if not isinstance(about, dict) or about.get("format") != FORMAT or about.get("version") != VERSION:
        raise BundleError(f"{path} is no estimator that this nearbit wrote")
    shapes = {str(name): entry.get("shape") for name, entry in header.items() if name != "__metadata__"}
    try:
        return _assembled(Path(path), about, shapes)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise BundleError(f"{path} is no whole estimator ({type(error).__name__}: {error})") from error


def _assembled(path: Path, about: dict[str, str], shapes: dict[str, Any]) -> Estimator:
    estimator = ESTIMATORS[about["estimator"]](**_read(path, about, "parameters"))
    estimator._check()
    spec, width = _read(path, about, "head"), int(about["width"])
    n_bits = check_n_bits(int(about.get("n_bits", estimator.n_bits)))
    with shapes_alone():  # built without memory first, so that a foreign file cannot ask for any
        expected = {name: list(value.shape) for name, value in Head(width, n_bits, **spec).state_dict().items()}
    if expected != shapes:
        raise BundleError(f"{path}: the weights are not those of the estimator that is described")
    with tensors_read(str(path), BundleError):
        weights = load_tensors(path.read_bytes())
    if not all(bool(value.isfinite().all()) for value in weights.values()):
        raise BundleError(f"{path} holds values that are not finite")
    head = Head(width, n_bits, **spec)
    head.load_state_dict(weights)
    estimator.head_, estimator.n_features_in_, estimator.n_bits_ = head.eval(), width, n_bits
    estimator.classes_ = np.array(_read(path, about, "classes"))
    return estimator


def _read(path: Path, about: dict[str, str], name: str) -> Any:
    return parse_json(about[name], f"the {name} in {path}", BundleError)


def _write(file: Path, content: bytes) -> None:
    file.write_bytes(content)
