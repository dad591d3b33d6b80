"""Hash centers alone, for a network of your own: python examples/hash_centers.py"""

import numpy as np

import nearbit as nb
from nearbit.centers import certify, similarity_from_embeddings


def main() -> None:
    """Make centers as far apart as they can be, and centers as alike as their classes, and print what holds of them."""
    rng = np.random.default_rng(0)
    far = nb.make_centers("separated", n_classes=20, n_bits=32, rng=rng)  # int8 (20, 32) of -1 and +1
    found = certify(far)
    print(f"any two of the 20 centers differ in at least {found.min_distance} bits")
    print(f"no 20 words of 32 bits can be further apart than {found.proven_upper_bound}")

    words = rng.normal(size=(5, 8)).repeat(4, axis=0) + 0.3 * rng.normal(size=(20, 8))  # five families of four classes
    similarity = similarity_from_embeddings(words)
    alike = nb.make_centers("semantic", n_classes=20, n_bits=32, rng=rng, similarity=similarity, min_distance=8)
    for name, centers in (("separated", far), ("semantic", alike)):
        about = certify(centers, similarity)
        print(f"{name}: at least {about.min_distance} bits apart, correlation with the classes {about.correlation:.2f}")


if __name__ == "__main__":
    main()
