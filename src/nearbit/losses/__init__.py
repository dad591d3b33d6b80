"""Losses of hash networks, one formula a file. All take real-valued outputs `(n, n_bits)`."""

from nearbit.losses.center_push import center_push
from nearbit.losses.center_softmax import center_softmax
from nearbit.losses.central_similarity import central_similarity, torch_centroids, torch_words_of_sets
from nearbit.losses.class_structure import class_structure
from nearbit.losses.class_weights import class_weights
from nearbit.losses.class_wise import class_wise
from nearbit.losses.cross_entropy import cross_entropy
from nearbit.losses.cubic_penalty import cubic_penalty
from nearbit.losses.hypercube import hypercube, vertex_distance
from nearbit.losses.instance_similarity import center_costs, instance_similarity, instance_weights
from nearbit.losses.margin_cosine import crh_scale, margin_cosine
from nearbit.losses.pairwise import (
    graded_pairs,
    pair_likelihood,
    sign_quantization,
    softsign_quantization,
    tanh_pairs,
    triplet_likelihood,
)
from nearbit.losses.pairwise.memory_pairs import memory_pairs
from nearbit.losses.polarization import polarization
from nearbit.losses.proxy_softmax import balanced_proxies, code_triplets, proxy_softmax
from nearbit.losses.quantization import quantization
from nearbit.losses.straight_through import straight_through

__all__ = [
    "balanced_proxies",
    "center_costs",
    "center_push",
    "center_softmax",
    "central_similarity",
    "class_structure",
    "class_weights",
    "class_wise",
    "code_triplets",
    "crh_scale",
    "cross_entropy",
    "cubic_penalty",
    "graded_pairs",
    "hypercube",
    "instance_similarity",
    "instance_weights",
    "margin_cosine",
    "memory_pairs",
    "pair_likelihood",
    "polarization",
    "proxy_softmax",
    "quantization",
    "sign_quantization",
    "softsign_quantization",
    "straight_through",
    "tanh_pairs",
    "torch_centroids",
    "torch_words_of_sets",
    "triplet_likelihood",
    "vertex_distance",
]
