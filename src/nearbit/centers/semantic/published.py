"""Semantic centers by the published procedure of SHC: an augmented Lagrangian with proximal steps on each center."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from nearbit.centers.coding.bounds import gilbert_varshamov_distance
from nearbit.centers.semantic.loss import Similarity, check_centers, check_similarity, loss_of
from nearbit.centers.state import Centers
from nearbit.codes import signs_of
from nearbit.errors import InputError
from nearbit.given import check_choice, check_number

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class SHCOptions:
    """The numbers of the procedure and, by name, each point in which the released code departs from the paper.

    The defaults are the paper's; `SHCOptions.released()` is what the released code does.

    Attributes:
        cycles: rounds of all updates; 20 in the paper, 30 in the code.
        mu: weight of the sum of all products.
        rho: penalty on the difference of centers and their proxies M.
        beta: penalty on products above n_bits - 2 d.
        eta: a step is the gradient divided by eta.
        inner: steps a center in each cycle.
        first_multiplier: value of the multipliers of the proxies at the start (Lambda).
        sweep: "class": all inner steps of a class before the next class; "round": one step of every class, and again.
        divide_by: what the sum over other classes in the gradient is divided by; 10000 in the code.
        gram_term: the penalty's term 2 beta h_j h_jᵀ h_i as printed ("outer"), or 2 beta (h_j · h_j) h_i ("inner"),
            which the code computes.
        accept_only_feasible: take a step only where all centers are d bits apart after it.
        multiplier_update: which columns of the multipliers of the distances change: "all"; "last", as the code is
            written; or "none", as it runs, since it keeps them as whole numbers.
        keep: the centers after the "last" cycle, or those of the cycle with the "best" semantic loss.
    """

    cycles: int = 20
    mu: float = 0.625
    rho: float = 0.2
    beta: float = 1e-6
    eta: float = 0.5
    inner: int = 3
    first_multiplier: float = 0.1
    sweep: Literal["class", "round"] = "class"
    divide_by: float = 1.0
    gram_term: Literal["outer", "inner"] = "outer"
    accept_only_feasible: bool = False
    multiplier_update: Literal["all", "last", "none"] = "all"
    keep: Literal["last", "best"] = "last"

    def __post_init__(self) -> None:
        for name in ("cycles", "inner"):
            check_number(name, getattr(self, name), at_least=1, whole=True)
        for name in ("rho", "beta", "eta", "divide_by"):
            check_number(name, getattr(self, name), is_positive=True)
        for name, known in _CHOICES.items():
            check_choice(name, getattr(self, name), known)

    @classmethod
    def paper(cls) -> "SHCOptions":
        """Return what the paper prints."""
        return cls()

    @classmethod
    def released(cls) -> "SHCOptions":
        """Return what the released code does."""
        return cls(
            cycles=30,
            sweep="round",
            divide_by=10000.0,
            gram_term="inner",
            accept_only_feasible=True,
            multiplier_update="none",
            keep="best",
        )


_CHOICES = {
    "sweep": ("class", "round"),
    "gram_term": ("outer", "inner"),
    "multiplier_update": ("all", "last", "none"),
    "keep": ("last", "best"),
}


def published_shc_centers(
    similarity: npt.ArrayLike,
    start: npt.ArrayLike,
    *,
    min_distance: int | None = None,
    options: SHCOptions | None = None,
) -> Centers:
    """Return semantic centers by SHC's own procedure.

    In each cycle the proxies M and the slacks K have closed forms; each center then takes steps
    h <- sign(h - gradient / eta), and the multipliers follow. With the paper's options nothing makes the centers keep
    the distance d exactly; the released code refuses each step that would break it, so that they keep it if the start
    does.

    Source: SHC (arXiv 2507.08404), equations 23 to 38. Equation 35 prints "-2 mu sum alpha h" and misplaces a bracket;
    the consistent derivative is taken. A sign of 0 becomes +1. Deterministic. Differs from the authors' code:
    see `SHCOptions`; besides, theirs computes all products of centers anew for each step, with the same result.

    Args:
        similarity: see `check_similarity`.
        start: `(n_classes, n_bits)` of -1 and +1; the paper takes MDS centers.
        min_distance: d; by default that of the published rule.
        options: by default the paper's.

    Returns:
        int8 `(n_classes, n_bits)`.

    Raises:
        InputError: not a similarity, a start that does not fit it, or a distance below 1 or above n_bits.
    """
    chosen = options or SHCOptions()
    matrix, _ = check_similarity(similarity)
    signs = check_centers(start)
    if len(signs) != len(matrix):
        raise InputError(f"start has {len(signs)} classes, but the similarity {len(matrix)}")
    n_classes, n_bits = signs.shape
    least = gilbert_varshamov_distance(n_classes, n_bits) if min_distance is None else min_distance
    check_number("min_distance", least, at_least=1, below=n_bits + 1, whole=True)
    return _run(_Problem(matrix, n_bits - 2 * least, chosen), signs)


def _run(problem: "_Problem", start: Centers) -> Centers:
    state = _State(problem, start.T.astype(np.float64))
    best, best_loss = state.centers(), np.inf
    for _ in range(problem.options.cycles):
        state.cycle()
        loss = loss_of(state.centers(), problem.matrix)
        if problem.options.keep == "last" or loss < best_loss:
            best, best_loss = state.centers(), loss
    return best


@dataclass(frozen=True, eq=False)
class _Problem:
    """What stays: the similarity, the largest product allowed, and the options."""

    matrix: Similarity
    limit: int
    options: SHCOptions


@dataclass(eq=False)
class _State:
    """What changes: centers `(n_bits, n_classes)`, proxies, slacks, multipliers, and what follows from the centers."""

    problem: _Problem
    h: Values
    multipliers: Values = field(init=False)
    alpha: Values = field(init=False)
    gram: Values = field(init=False)
    outer: Values = field(init=False)
    total: Values = field(init=False)
    too_near: npt.NDArray[np.int64] = field(init=False)
    """Classes that are nearer than d to each class; kept up to date only where nothing but feasible steps are taken."""

    def __post_init__(self) -> None:
        n_classes = self.h.shape[1]
        self.multipliers = np.full(self.h.shape, self.problem.options.first_multiplier)
        self.alpha = np.zeros((n_classes, n_classes))
        self.gram = self.h.T @ self.h
        self.outer = self.h @ self.h.T
        self.total = self.h.sum(axis=1)
        self.too_near = (self.gram > self.problem.limit).sum(axis=1) - 1  # a center and itself

    def centers(self) -> Centers:
        """Return the centers as they are now, int8 `(n_classes, n_bits)`."""
        return np.ascontiguousarray(self.h.T).astype(np.int8)

    def cycle(self) -> None:
        """Update proxies, slacks, centers and multipliers once, in this order."""
        options, n_bits, n_classes = self.problem.options, *self.h.shape
        m = self._proxies()
        slack = np.maximum(self.problem.limit - self.gram + self.alpha / options.beta, 0)
        both, wanted = m @ m.T, m @ self.problem.matrix
        repeats = (1, options.inner) if options.sweep == "class" else (options.inner, 1)
        for _ in range(repeats[0]):
            for i in range(n_classes):
                for _ in range(repeats[1]):
                    semantic = (2 / n_bits**2) * (both @ self.h[:, i]) - (2 / n_bits) * wanted[:, i]
                    near = self.multipliers[:, i] + options.rho * (self.h[:, i] - m[:, i])
                    gradient = semantic + near + self._of_others(i, slack) / options.divide_by
                    self._offer(i, signs_of(self.h[:, i] - gradient / options.eta))
        self.multipliers += options.rho * (self.h - m)
        self._update_alpha(slack)

    def _proxies(self) -> Values:
        """Return M, in closed form: `(n_bits, n_classes)`."""
        options, n_bits = self.problem.options, len(self.h)
        left = (2 / n_bits**2) * self.outer + options.rho * np.eye(n_bits)
        right = (2 / n_bits) * (self.h @ self.problem.matrix) + self.multipliers + options.rho * self.h
        return np.asarray(np.linalg.solve(left, right))

    def _of_others(self, i: int, slack: Values) -> Values:
        """Return the part of the gradient that sums over the other classes: the terms of mu, alpha and beta."""
        options, own = self.problem.options, self.h[:, i]
        n_bits, n_classes = self.h.shape
        weights = -2 * self.alpha[i] - 2 * options.beta * (self.problem.limit - slack[i])
        weights[i] = 0
        outer = options.gram_term == "outer"
        quadratic = self.outer @ own - n_bits * own if outer else n_bits * (n_classes - 1) * own
        return np.asarray(2 * options.mu * (self.total - own) + self.h @ weights + 2 * options.beta * quadratic)

    def _offer(self, i: int, signs: Centers) -> None:
        """Take a proposed center, unless only feasible ones are taken and this one is not."""
        old, proposed = self.h[:, i], signs.astype(np.float64)
        if np.array_equal(proposed, old):
            return
        products = proposed @ self.h
        products[i] = len(proposed)
        if self.problem.options.accept_only_feasible:
            if not self._is_feasible(i, products):
                return
            self.too_near[:] = 0
        self.outer += np.outer(proposed, proposed) - np.outer(old, old)
        self.total += proposed - old
        self.h[:, i] = proposed
        self.gram[i] = self.gram[:, i] = products

    def _is_feasible(self, i: int, products: Values) -> bool:
        """Return whether all centers are far enough apart once center i has these products with them."""
        pairs_of_others = self.too_near.sum() // 2 - self.too_near[i]
        return bool(pairs_of_others == 0 and not (np.delete(products, i) > self.problem.limit).any())

    def _update_alpha(self, slack: Values) -> None:
        options = self.problem.options
        step = options.beta * (self.problem.limit - self.gram - slack)
        if options.multiplier_update == "all":
            self.alpha += step
        elif options.multiplier_update == "last":
            self.alpha[:, -1] += step[:, -1]
