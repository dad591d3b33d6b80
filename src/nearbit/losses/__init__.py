"""Losses of hash networks, one formula a file. All take real-valued outputs `(n, n_bits)`."""

from nearbit.losses.center_push import center_push
from nearbit.losses.center_softmax import center_softmax
from nearbit.losses.central_similarity import central_similarity, torch_centroids, torch_words_of_sets
from nearbit.losses.class_weights import class_weights
from nearbit.losses.class_wise import class_wise
from nearbit.losses.cross_entropy import cross_entropy
from nearbit.losses.cubic_penalty import cubic_penalty
from nearbit.losses.hypercube import hypercube, vertex_distance
from nearbit.losses.margin_cosine import crh_scale, margin_cosine
from nearbit.losses.memory_pairs import memory_pairs
from nearbit.losses.quantization import quantization
from nearbit.losses.straight_through import straight_through

__all__ = [
    "center_push",
    "center_softmax",
    "central_similarity",
    "class_weights",
    "class_wise",
    "crh_scale",
    "cross_entropy",
    "cubic_penalty",
    "hypercube",
    "margin_cosine",
    "memory_pairs",
    "quantization",
    "straight_through",
    "torch_centroids",
    "torch_words_of_sets",
    "vertex_distance",
]
