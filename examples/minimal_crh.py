"""CRH in 65 lines of code, with NumPy and torch alone: python examples/minimal_crh.py

Centers, loss, loop, signs, search and tie-aware average precision, each once and in the open (arXiv 2511.12162).
"""

from importlib import resources
from math import log, sqrt

import numpy as np
import torch
from torch.nn.functional import cross_entropy, normalize

N_CLASSES, N_BITS, HEAD_BITS, N_WORDS, N_QUERIES = 10, 30, 5, 20, 100
SCALE, MARGIN = sqrt(2) * log(N_CLASSES - 1), 0.2  # of cosines; the own class must win by the margin


def load_digits(rng):
    """Return features (1797, 64) from 0 to 1 and class numbers, in random order: the images of 8 x 8 pixels."""
    with np.load(str(resources.files("nearbit.datasets.formats") / "digits.npz"), allow_pickle=False) as arrays:
        pixels, labels = arrays["pixels"], arrays["labels"]
    order = rng.permutation(len(labels))
    return pixels[order].reshape(len(labels), -1).astype(np.float32) / 255, labels[order].astype(np.int64)


def chosen_centers(codebook, means, rng):
    """Give each class in turn, head by head, the word nearest to its mean signs that is left: (10, 30) of -1 and +1."""
    heads = []
    for words, wanted in zip(codebook, np.split(means, len(codebook), axis=1), strict=True):
        costs, chosen = -wanted @ words.T, np.empty(N_CLASSES, int)  # |b - z|² is a constant less 2 <b, z>
        for row in rng.permutation(N_CLASSES):
            chosen[row] = costs[row].argmin()
            costs[:, chosen[row]] = np.inf
        heads.append(words[chosen])
    return np.hstack(heads)


def train(features, labels, rng, epochs=30):
    """Return a network whose outputs' signs are the codes."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, N_BITS))
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    numbers = np.stack([rng.choice(2**HEAD_BITS, N_WORDS, replace=False) for _ in range(N_BITS // HEAD_BITS)])
    codebook = 2.0 * (numbers[:, :, None] >> np.arange(HEAD_BITS) & 1) - 1  # (heads, words, bits) of -1 and +1
    centers = np.hstack(codebook[:, :N_CLASSES])
    for _ in range(epochs):
        targets = torch.tensor(centers, dtype=torch.float32)
        for batch in np.array_split(rng.permutation(len(labels)), len(labels) // 64):
            outputs, classes = network(torch.from_numpy(features[batch])), torch.from_numpy(labels[batch])
            cosines = normalize(outputs) @ normalize(targets).T
            loss = cross_entropy(SCALE * (cosines - MARGIN * torch.eye(N_CLASSES)[classes]), classes)
            loss = loss + 0.1 * (outputs.tanh().abs() - 1).square().mean()  # far from 0, signs lose little
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        signs = signs_of(network, features)  # nearbit takes those of the steps instead, to spare this pass
        centers = chosen_centers(codebook, np.stack([signs[labels == c].mean(axis=0) for c in range(N_CLASSES)]), rng)
    return network


def signs_of(network, features):
    """Return the codes as signs, (n, 30) of -1 and +1; an output of 0 becomes +1."""
    with torch.no_grad():
        return np.where(network(torch.from_numpy(features)).numpy() >= 0, 1, -1)


def tie_aware_average_precision(distances, relevant):
    """Return the average precision that items at equal distances have in the mean over all their orders."""
    total, before, hits = 0.0, 0, 0
    for distance in np.unique(distances):  # n items tie, r of them relevant
        tie = distances == distance
        n, r = int(tie.sum()), int(relevant[tie].sum())
        for place in range(n):  # a relevant one comes here with r / n; then (r - 1) / (n - 1) of those before it are
            total += r / n * (hits + 1 + place * (r - 1) / max(n - 1, 1)) / (before + place + 1)
        before, hits = before + n, hits + r
    return total / hits


def main():
    """Train on digits, search among them, and return the mean average precision of the queries."""
    rng = np.random.default_rng(0)
    features, labels = load_digits(rng)
    network = train(features[N_QUERIES:], labels[N_QUERIES:], rng)
    signs, wanted, known = signs_of(network, features), labels[:N_QUERIES], labels[N_QUERIES:]
    distances = (N_BITS - signs[:N_QUERIES] @ signs[N_QUERIES:].T) // 2  # bits that differ
    nearest = known[distances[0].argsort(kind="stable")[:5]]  # the search
    precisions = [tie_aware_average_precision(d, known == c) for d, c in zip(distances, wanted, strict=True)]
    print(f"a {wanted[0]} finds {nearest.tolist()}; tie-aware mAP of {N_QUERIES} queries: {np.mean(precisions):.2f}")
    return float(np.mean(precisions))


if __name__ == "__main__":
    main()
