"""Losses of hash networks, one formula a file. All take real-valued outputs `(n, n_bits)`."""

from nearbit.losses.center_softmax import center_softmax
from nearbit.losses.central_similarity import central_similarity, torch_centroids, torch_words_of_sets
from nearbit.losses.cross_entropy import cross_entropy
from nearbit.losses.margin_cosine import crh_scale, margin_cosine
from nearbit.losses.memory_pairs import memory_pairs
from nearbit.losses.pairwise import (
    graded_pairs,
    pair_likelihood,
    sign_quantization,
    softsign_quantization,
    tanh_pairs,
    triplet_likelihood,
)
from nearbit.losses.quantization import quantization

__all__ = [
    "center_softmax",
    "central_similarity",
    "crh_scale",
    "cross_entropy",
    "graded_pairs",
    "margin_cosine",
    "memory_pairs",
    "pair_likelihood",
    "quantization",
    "sign_quantization",
    "softsign_quantization",
    "tanh_pairs",
    "torch_centroids",
    "torch_words_of_sets",
    "triplet_likelihood",
]
