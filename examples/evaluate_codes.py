"""Evaluate codes that nearbit did not make: python examples/evaluate_codes.py

Here they are the signs of principal components of the built-in digits, by NumPy alone. Any other codes will do.
"""

import numpy as np

import nearbit as nb


def main() -> None:
    """Make codes, and print what they are worth as queries against the rest."""
    dataset = nb.load_dataset("digits")
    pixels = np.stack([np.asarray(dataset.source.read(row).convert("L")) for row in range(len(dataset))])
    flat = pixels.reshape(len(pixels), -1).astype(float)
    flat -= flat.mean(axis=0)
    directions = np.linalg.svd(flat, full_matrices=False)[2][:16]
    codes = np.packbits(flat @ directions.T >= 0, axis=1)  # uint8 (1797, 2); the first bit is the highest
    labels = dataset.labels.argmax(axis=1)

    report = nb.evaluate_codes(codes[:200], labels[:200], codes[200:], labels[200:], n_bits=16)
    print(f"tie-aware mAP {report.tie_aware_map:.3f}, between {report.lowest_map:.3f} and {report.highest_map:.3f}")
    print(f"in the order of the database, as most papers count: {report.map_database_order:.3f}")
    print(f"{report.distinct_codes} different codes among {report.n_database}")


if __name__ == "__main__":
    main()
