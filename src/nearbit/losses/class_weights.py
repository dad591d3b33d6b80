"""Class-balanced weights: classes of few images count more."""

import numpy as np
import numpy.typing as npt

from nearbit.given import check_number


def class_weights(counts: npt.ArrayLike, beta: float) -> npt.NDArray[np.float64]:
    """Return w_c = (1 - beta) / (1 - beta^n_c), divided by the largest of them: float64 `(n_classes,)`, in (0, 1].

    The denominator over the numerator is the effective number of the images of a class; beta = 0 weighs all classes
    alike, and the nearer to 1, the nearer the weights are to 1 / n_c.

    Source: Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019; divided as LTHNet does.

    Args:
        counts: images of each class, each at least 1; for several labels an image counts for each.
        beta: at least 0 and below 1.

    Raises:
        InputError: a beta outside of that range.

    Example:
        >>> class_weights([1, 100], 0.9).round(3).tolist()
        [1.0, 0.1]
    """
    numbers = np.asarray(counts, np.float64)
    check_number("beta", beta, below=1)
    if beta == 0:
        return np.ones_like(numbers)
    weights = (1 - beta) / -np.expm1(numbers * np.log(beta))
    return np.asarray(weights / weights.max())
