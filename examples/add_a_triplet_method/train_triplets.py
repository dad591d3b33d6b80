"""Train the new method on the built-in digits: python examples/add_a_triplet_method/train_triplets.py"""

from triplets import TRIPLETS

import nearbit as nb


def main() -> None:
    """Train it and print how well its codes find digits of the same kind, and that it has no centers."""
    dataset = nb.load_dataset("digits")
    split = nb.make_split(dataset, seed=0)
    options = nb.TrainOptions(image_size=8, epochs=8, device="cpu")
    model = nb.train(dataset, split, method=TRIPLETS, n_bits=32, options=options)
    print(f"{model.method}: tie-aware mAP {nb.evaluate(model, dataset).report.tie_aware_map:.3f}")
    print(f"centers: {len(model.centers.centers)}")


if __name__ == "__main__":
    main()
