"""Words of a strong code given to classes, so that like classes get near words: a quadratic assignment."""

import numpy as np
import numpy.typing as npt

from nearbit.centers.coding.bounds import gilbert_varshamov_distance
from nearbit.centers.coding.construction import best_known_distance
from nearbit.centers.coding.packed import min_distance_of
from nearbit.centers.semantic.loss import Similarity, check_centers, check_similarity
from nearbit.centers.semantic.target import FROZEN, random_state, rounded
from nearbit.centers.separated import separated_centers
from nearbit.centers.state import Centers, Generator, check_sizes
from nearbit.errors import InputError
from nearbit.given import check_number
from nearbit.progress import Progress, silent

HOT, COLD = 0.3, 0.003
SWEEPS, LAST_SWEEPS, PROPOSALS = 400, 5, 2
FEWEST_SWEEPS, VISITS = 40, 300_000
MOST_SPARE, MOST_WORDS = 4, 4096
"""Up to four words a class are offered where the code has them, as long as they are at most 4096."""

GREEDY_CLASSES = 1000
"""More classes start in random order: a greedy start would take longer than the rest."""


def assign_words(
    words: npt.ArrayLike,
    similarity: npt.ArrayLike,
    rng: Generator,
    *,
    effort: float = 1.0,
    progress: Progress = silent,
) -> npt.NDArray[np.int64]:
    """Return which word each class gets, so that the semantic loss is small; words can be more than classes.

    A greedy start for up to 1000 classes (each in random order takes the word that fits those before it best), then
    simulated annealing: a class is offered another class's word, or one that no class has. Deterministic for a given
    `rng`.

    Args:
        words: `(n_words, n_bits)` of -1 and +1, at least as many as classes. Their minimum distance is kept.
        similarity: see `check_similarity`.
        rng: source of every random choice.
        effort: multiplies the number of sweeps, above 0.
        progress: called after each sweep.

    Returns:
        int64 `(n_classes,)`: numbers of words, all different; `words[chosen]` are the centers.

    Raises:
        InputError: fewer words than classes, words that are not signs, or not a similarity.

    Example:
        >>> words = np.array([[1, 1, 1, 1], [-1, -1, -1, -1], [1, 1, 1, -1]])
        >>> chosen = assign_words(words, [[1, -1, 0], [-1, 1, -1], [0, -1, 1]], np.random.default_rng(0))
        >>> int(chosen[1])
        1
    """
    signs = check_centers(words)
    matrix, _ = check_similarity(similarity)
    check_number("effort", effort, is_positive=True)
    if len(signs) < len(matrix):
        raise InputError(f"{len(matrix)} classes need at least as many words, not {len(signs)}")
    greedy = len(matrix) <= GREEDY_CLASSES
    first = _greedy(signs, matrix, rng) if greedy else rng.permutation(len(signs))[: len(matrix)]
    spare = np.setdiff1d(np.arange(len(signs)), first)
    return _exchange(signs, matrix, np.concatenate([first, spare]), rng, effort, progress)


def _greedy(words: Centers, matrix: Similarity, rng: Generator) -> npt.NDArray[np.int64]:
    """Return words chosen class by class: each the free one whose products fit those of the classes before it best."""
    floats = words.astype(np.float32) / np.float32(np.sqrt(words.shape[1]))
    chosen = np.full(len(matrix), -1, np.int64)
    placed: list[int] = []
    products = np.empty((len(matrix), len(words)), np.float32)
    for number, row in enumerate(rng.permutation(len(matrix))):
        wanted = matrix[row, placed].astype(np.float32)
        cost = np.square(products[:number]).sum(axis=0) - 2 * (wanted @ products[:number])
        cost[chosen[placed]] = np.inf
        chosen[row] = int(cost.argmin())
        products[number] = floats @ floats[chosen[row]]
        placed.append(int(row))
    return chosen


def _exchange(
    words: Centers,
    matrix: Similarity,
    places: npt.NDArray[np.int64],
    rng: Generator,
    effort: float,
    progress: Progress,
) -> npt.NDArray[np.int64]:
    """Anneal from the words in `places`: first those of the classes, then the spare ones."""
    from nearbit.centers.semantic import kernels

    target, scale, unit = rounded(matrix, words.shape[1])
    columns = np.ascontiguousarray(words[places].T, dtype=np.int16)
    state, n_classes = random_state(rng), len(matrix)
    sweeps = max(1, round(effort * min(max(VISITS / n_classes, FEWEST_SWEEPS), SWEEPS)))
    temperatures = np.concatenate([unit * np.geomspace(HOT, COLD, sweeps), np.full(LAST_SWEEPS, FROZEN)])
    for sweep, temperature in enumerate(temperatures):
        kernels.exchange_sweep(target, scale, columns, places, PROPOSALS * len(words), temperature, state)
        progress("Assigning words", sweep + 1, len(temperatures))
    return places[:n_classes]


def semantic_by_assignment(
    similarity: npt.ArrayLike,
    n_bits: int,
    rng: Generator,
    *,
    min_distance: int | None = None,
    effort: float = 1.0,
    progress: Progress = silent,
) -> Centers:
    """Return centers that are words of a separated code, given to the classes by their similarity.

    The code has up to four words a class, as many as keep the minimum distance. Where that distance is as large as the
    constructions reach, flips of single bits are all barred, and this is the search that is left.

    Args:
        similarity: see `check_similarity`.
        n_bits: at least 1.
        rng: source of every random choice.
        min_distance: in bits; by default that of the published rule, or what the constructions reach if that is less.
        effort: see `assign_words`.
        progress: called after each sweep.

    Returns:
        int8 `(n_classes, n_bits)`. Deterministic for a given `rng`.

    Raises:
        InputError: as `semantic_centers`.
    """
    matrix, _ = check_similarity(similarity)
    check_sizes(len(matrix), n_bits, distinct=True)
    n_words = _most_words(len(matrix), n_bits, min_distance)
    words = separated_centers(n_words, n_bits, rng, min_distance=min_distance)
    return words[assign_words(words, matrix, rng, effort=effort, progress=progress)]


def assigned_words(
    matrix: Similarity, centers: Centers, least: int, rng: Generator, effort: float, progress: Progress
) -> Centers:
    """Return words of a separated code given to the classes; the centers' own where none so far apart are made.

    The centers keep the distance `least`; what another random choice of words reaches may be less.
    """
    n_classes, n_bits = centers.shape
    words = separated_centers(_most_words(n_classes, n_bits, least), n_bits, rng)
    kept = words if min_distance_of(words) >= least else centers
    return kept[assign_words(kept, matrix, rng, effort=effort, progress=progress)]


def _most_words(n_classes: int, n_bits: int, min_distance: int | None) -> int:
    """Return how many words to choose from: doubled, or all there are, while the constructions keep the distance."""
    least = min_distance
    if least is None:
        known = best_known_distance(n_classes, n_bits)
        published = gilbert_varshamov_distance(n_classes, n_bits)
        least = published if known is None else min(published, known[0])
    all_words = 2 ** min(n_bits, 62)
    n_words = n_classes
    while (more := min(2 * n_words, all_words)) <= min(MOST_SPARE * n_classes, MOST_WORDS) and more > n_words:
        known = best_known_distance(more, n_bits)
        if known is None or known[0] < least:
            break
        n_words = more
    return n_words
