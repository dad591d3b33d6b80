"""Losses over pairs and triplets of images, which need no centers. All take real-valued outputs `(n, n_bits)`."""

from nearbit.losses.pairwise.graded_pairs import graded_pairs, softsign_quantization
from nearbit.losses.pairwise.pair_likelihood import pair_likelihood
from nearbit.losses.pairwise.sign_quantization import sign_quantization
from nearbit.losses.pairwise.tanh_pairs import tanh_pairs
from nearbit.losses.pairwise.triplet_likelihood import triplet_likelihood

__all__ = [
    "graded_pairs",
    "pair_likelihood",
    "sign_quantization",
    "softsign_quantization",
    "tanh_pairs",
    "triplet_likelihood",
]
