"""Losses of hash networks, one formula a file. All take real-valued outputs `(n, n_bits)`."""

from nearbit.losses.central_similarity import central_similarity, torch_centroids
from nearbit.losses.margin_cosine import crh_scale, margin_cosine
from nearbit.losses.quantization import quantization

__all__ = ["central_similarity", "crh_scale", "margin_cosine", "quantization", "torch_centroids"]
