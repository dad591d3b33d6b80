"""What share of their float features' figure codes keep, and what helps where it is little."""

import numpy as np
import numpy.typing as npt

ENOUGH = 0.85
"""Below this share of the float figure there is advice."""
FEW_IMAGES = 10
"""With fewer training images a class codes lose much against the features that they are made of."""
METHODS_THAT_KEEP = ("ech", "ridge")
"""The methods made for what the features know beside the classes; `auto` chooses among them."""


def images_per_class(labels: npt.NDArray[np.bool_]) -> float | None:
    """Return the median number of images of the classes that have any, for labels bool `(n, n_classes)`."""
    counts = labels.sum(axis=0)
    return float(np.median(counts[counts > 0])) if counts.any() else None


def share_of(value: float | None, whole: float | None) -> float | None:
    """Return what share of a figure another one is; None where there is no such figure, or it is 0."""
    return None if not whole or value is None else value / whole


def advice_of(kept: float, *, method: str | None, n_bits: int, images: float | None, asymmetric: str | None) -> str:
    """Return what helps codes that keep little, in words; empty where they keep enough.

    Args:
        kept: the share of the float figure that they keep.
        method, n_bits: of the codes.
        images: training images a class; None where that is not known.
        asymmetric: what is said of ranking by real outputs; None where it does not help.
    """
    if kept >= ENOUGH:
        return ""
    helps = [f"more bits (--bits {2 * n_bits})"]
    if method not in METHODS_THAT_KEEP:
        helps.append(f"another method than {method} (--method auto, ech or ridge)")
    if asymmetric is not None:
        helps.append(f"ranking by real outputs (nearbit search --asymmetric){asymmetric}")
    if images is not None and images < FEW_IMAGES:
        helps.append(f"more images a class than {images:.3g}, for a start those of all parts (nearbit train --final)")
    return f"what helps: {'; '.join(helps)}"
