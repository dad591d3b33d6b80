"""The center code of an image: the word near what is relevant to it and far from the rest, in closed form."""

from typing import Literal

import torch
from torch import Tensor

Relevance = Literal["shared", "jaccard", "cosine"]
RELEVANCES: tuple[Relevance, ...] = ("shared", "jaccard", "cosine")
ROWS = 128
"""Label vectors that are compared with all codes at once."""
EVEN = 1e-9
"""Votes are even where the two means differ by less."""


def center_codes(
    labels: Tensor, codes: Tensor, code_labels: Tensor, tie_break: Tensor, relevance: Relevance = "shared"
) -> Tensor:
    """Return the center code of each label vector.

    With w_j the relevance of code B_j and P, N the codes that share a label and those that share none,
    `b* = sign(|N| · Σ_P w_j B_j - W · Σ_N B_j)`: of all words the one with the largest difference between the mean
    agreement `<B_j, b>` with P and that with N. An empty P or N counts 0 in it. Codes without labels are left out:
    nothing is known of them (a memory has not seen them yet).

    Args:
        labels: `(n, n_classes)`, 0 or 1.
        codes: `(n_codes, n_bits)` of -1 and +1.
        code_labels: `(n_codes, n_classes)`, 0 or 1.
        tie_break: `(n_bits,)` of -1 and +1: the sign of a bit on which the votes are even.
        relevance: "shared": w = 1, W = |P|; "jaccard": w the share of labels in common, of all that either has, and
            W = |P|; "cosine": w the cosine of the label vectors, and W = Σ_P w_j. With one label an image all are
            the same.

    Returns:
        float `(n, n_bits)` of -1 and +1, on the device of `labels`. Deterministic.

    Paper: Wang, Lin and Li, "CgAT: Center-Guided Adversarial Training for Deep Hashing-Based Retrieval" (WWW 2023);
    "cosine" is the weighting of their later SAAT. Differs from their code: it computes graded weights and overwrites
    them by 0 and 1, and leaves 0 where votes are even.

    Example:
        >>> codes, one_hot = torch.tensor([[1.0, 1.0], [1.0, -1.0]]), torch.eye(2)
        >>> center_codes(one_hot, codes, one_hot, tie_break=torch.tensor([-1.0, -1.0])).tolist()
        [[-1.0, 1.0], [-1.0, -1.0]]
    """
    place = torch.device("cpu") if labels.device.type == "mps" else labels.device  # which has no float64
    distinct, of_row = torch.unique(labels.to(place).double(), dim=0, return_inverse=True)
    known = code_labels.to(place).double()
    words, seen = codes.to(place).double(), known.any(dim=1).double()
    votes = torch.cat([_votes(block, words, known, seen, relevance) for block in distinct.split(ROWS)])
    ties = tie_break.to(place).double().expand_as(votes)
    found = torch.where(votes.abs() <= EVEN, ties, votes.sign())
    return found[of_row].to(labels.device, torch.float32)


def _votes(labels: Tensor, words: Tensor, code_labels: Tensor, seen: Tensor, relevance: Relevance) -> Tensor:
    """Return the difference of the two means, bit by bit: `(n, n_bits)`; exactly 0 where whole votes are even."""
    common = labels @ code_labels.T
    positive = (common > 0).double()
    negative = (1 - positive) * seen
    weights = positive
    if relevance == "jaccard":
        weights = common / (labels.sum(dim=1)[:, None] + code_labels.sum(dim=1) - common).clamp(min=1)
    elif relevance == "cosine":
        weights = common / (labels.norm(dim=1)[:, None] * code_labels.norm(dim=1)).clamp(min=1)
    shares = (weights if relevance == "cosine" else positive).sum(dim=1, keepdim=True)
    n_for = torch.where(shares > 0, shares, torch.ones_like(shares))
    n_against = negative.sum(dim=1, keepdim=True).clamp(min=1)
    whole = n_against * (weights @ words) - n_for * (negative @ words)
    return whole / (n_for * n_against)
