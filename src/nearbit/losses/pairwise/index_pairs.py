"""MISH's terms: they move training images whose codes make a search in parts of codes look at too much.

A search within radius r looks, part by part, at all codes that differ in at most ⌊r / m⌋ bits of a part. Some of them
are far away in all bits: false candidates. And where the k-th nearest is far away, r is large.

Source: MISH (Hansen et al., Unsupervised Multi-Index Semantic Hashing, WWW 2021), as its authors' code computes them.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Chosen(NamedTuple):
    """Pairs of an image of the batch and one of the memory.

    Attributes:
        anchors: int64 `(p,)`: places in the batch.
        rows: int64 `(p,)`: places in the memory.
        parts: bool `(p, n_bits)`: the bits that count.
        bounds: int64 `(p,)`: the pair counts as long as its distance in those bits is as it should not be.
    """

    anchors: Tensor
    rows: Tensor
    parts: Tensor
    bounds: Tensor


def part_masks(n_bits: int, n_parts: int) -> Tensor:
    """Return which bits belong to each part of a code: bool `(n_parts, n_bits)`, sizes that differ by 1 at most."""
    ends = torch.arange(1, n_parts + 1) * n_bits // n_parts
    return torch.searchsorted(ends, torch.arange(n_bits), right=True) == torch.arange(n_parts)[:, None]


def probes(radius: int, n_parts: int) -> list[tuple[int, int]]:
    """Return the order in which a search within a radius looks at (part, distance in it): i-th (i mod m, ⌊i / m⌋)."""
    return [(i % n_parts, i // n_parts) for i in range(radius + 1)]


def bit_distances(signs: Tensor, others: Tensor) -> Tensor:
    """Return in how many places signs `(n, k)` and `(m, k)` differ: `(n, m)`, whole numbers."""
    return ((signs.shape[1] - signs @ others.T) / 2).round()


def false_candidates(signs: Tensor, memory: Tensor, radii: Tensor, masks: Tensor) -> Chosen:
    """Choose for each image one probe, and of the codes that it finds beyond the radius the farthest.

    Args:
        signs: float `(n, n_bits)`, -1 or +1: of a batch.
        memory: float `(m, n_bits)`: signs that are remembered.
        radii: int64 `(n,)`: the distance of each image's k-th nearest.
        masks: see `part_masks`.
    """
    probe = (torch.rand(len(signs), device=signs.device) * (radii + 1)).long().clamp(max=radii)
    parts = masks[probe % len(masks)]
    depth = probe // len(masks)
    in_part = ((parts.sum(dim=1, keepdim=True) - (signs * parts) @ memory.T) / 2).round()
    whole = bit_distances(signs, memory)
    wrong = (in_part == depth[:, None]) & (whole > radii[:, None])
    noise = torch.rand(whole.shape, device=whole.device)  # below one bit: it breaks ties alone
    farthest = torch.where(wrong, whole + noise / 2, -1.0).argmax(dim=1)
    kept = wrong.any(dim=1).nonzero()[:, 0]
    return Chosen(kept, farthest[kept], parts[kept], depth[kept])


def far_neighbours(signs: Tensor, memory: Tensor, k: int, limit: int) -> Chosen:
    """Choose for each image the farthest of its k nearest, where it differs in more than `limit` bits."""
    distances, places = bit_distances(signs, memory).topk(k, dim=1, largest=False)
    farthest = distances.argmax(dim=1, keepdim=True)
    kept = (distances.gather(1, farthest)[:, 0] > limit).nonzero()[:, 0]
    everything = torch.ones(len(kept), signs.shape[1], dtype=torch.bool, device=signs.device)
    bounds = torch.full((len(kept),), limit, device=signs.device)
    return Chosen(kept, places.gather(1, farthest)[kept, 0], everything, bounds)


def through_signs(outputs: Tensor) -> Tensor:
    """Return the signs of outputs, with the gradient of tanh: 0 counts as +1."""
    soft = outputs.tanh()
    return soft + (torch.where(outputs >= 0, 1.0, -1.0) - soft).detach()


def pair_term(signs: Tensor, chosen: Chosen, encode: Callable[[Tensor], Tensor], *, apart: bool) -> Tensor:
    """Return the mean over a batch of how alike chosen pairs are in their bits, from -1 to 1.

    The images of the memory are encoded again, and only they get a gradient: anchors stay where they are.

    Args:
        signs: float `(n, n_bits)`: of the batch, without gradients.
        chosen: the pairs.
        encode: gives outputs, with gradients, of places in the memory.
        apart: whether pairs are pushed apart, and count while they are at most their bound apart; else they are pulled
            together, and count while they are further apart.

    Returns:
        A scalar; 0 where no pair counts. Pairs that are pulled count with their likeness below 0.
    """
    if not len(chosen.rows):
        return signs.new_zeros(())
    again = through_signs(encode(chosen.rows))
    products = (signs[chosen.anchors] * again * chosen.parts).sum(dim=1)
    sizes = chosen.parts.sum(dim=1)
    distances = ((sizes - products.detach()) / 2).round()
    counts = distances <= chosen.bounds if apart else distances > chosen.bounds
    likeness = products / sizes * counts
    return (likeness if apart else -likeness).sum() / len(signs)
