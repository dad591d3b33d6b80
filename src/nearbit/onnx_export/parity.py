"""How far an exported network is from the model that it came from: in outputs, in bits, in codes."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nearbit.codes import signs_of
from nearbit.encoding.fast import TOLERANCE
from nearbit.encoding.feature_cache import FloatRows
from nearbit.errors import BundleError, InputError


@dataclass(frozen=True, kw_only=True)
class Parity:
    """The outputs of two networks for the same images, compared.

    Attributes:
        sample: what the images are, in words.
        n_images: how many.
        largest_difference: of an output.
        typical_output: the root mean square of the source's outputs.
        tolerance: the difference that would be allowed in float32; a bit can then differ only where the output is
            not larger than that.
        equal_bits: share of the bits that are the same.
        equal_codes: number of the images all of whose bits are the same.
        most_changed_bits: of one image.
    """

    sample: str
    n_images: int
    largest_difference: float
    typical_output: float
    tolerance: float
    equal_bits: float
    equal_codes: int
    most_changed_bits: int

    @property
    def is_exact(self) -> bool:
        """Whether no output differs by more than the tolerance."""
        return self.largest_difference <= self.tolerance

    def to_dict(self) -> dict[str, Any]:
        """Return the figures by name."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return the figures for people."""
        changed = self.n_images - self.equal_codes
        lines = [
            f"compared on {self.n_images} images ({self.sample}): {100 * self.equal_bits:.2f} % of the bits are equal"
        ]
        if changed:
            lines.append(f"{changed} codes differ, in at most {self.most_changed_bits} bits")
        return [
            *lines,
            f"largest difference of an output {self.largest_difference:.3g}, where outputs are about "
            f"{self.typical_output:.3g}",
        ]


def compare_outputs(before: FloatRows, after: FloatRows, sample: str) -> Parity:
    """Compare the outputs float32 `(n, n_bits)` of the source and of the exported network, row by row.

    Raises:
        InputError: no images, or outputs of different shapes.
        BundleError: an output is not finite.
    """
    if before.shape != after.shape or not before.size:
        raise InputError(f"parity needs outputs of the same images, at least one, not {before.shape} and {after.shape}")
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        raise BundleError("an output is not finite: the network cannot be exported")
    typical = float(np.sqrt(np.mean(np.square(before, dtype=np.float64))))
    changed = (signs_of(before) != signs_of(after)).sum(axis=1)
    return Parity(
        sample=sample,
        n_images=len(before),
        largest_difference=float(np.abs(before.astype(np.float64) - after).max()),
        typical_output=typical,
        tolerance=TOLERANCE * typical,
        equal_bits=1 - float(changed.sum()) / before.size,
        equal_codes=int((changed == 0).sum()),
        most_changed_bits=int(changed.max()),
    )


def check_parity(parity: Parity) -> None:
    """Raise `BundleError` unless the exported network is, up to rounding, the source."""
    if not parity.is_exact:
        raise BundleError(
            f"the exported network is not the model: an output differs by {parity.largest_difference:.3g}, allowed are "
            f"{parity.tolerance:.3g} ({TOLERANCE:g} of a typical output); {100 * (1 - parity.equal_bits):.3f} % of the "
            "bits differ. Nothing was written; please report the backbone, and the versions of torch and onnxscript"
        )
