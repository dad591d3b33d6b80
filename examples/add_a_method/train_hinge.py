"""Train the new method beside CSQ on the built-in digits: python examples/add_a_method/train_hinge.py"""

from hinge import HINGE

import nearbit as nb


def main() -> None:
    """Train both alike and print how well their codes find digits of the same kind."""
    dataset = nb.load_dataset("digits")
    split = nb.make_split(dataset, seed=0)
    options = nb.TrainOptions(image_size=8, epochs=8, device="cpu")
    for method in (HINGE, "csq"):
        model = nb.train(dataset, split, method=method, n_bits=32, options=options)
        print(f"{model.method}: tie-aware mAP {nb.evaluate(model, dataset).report.tie_aware_map:.3f}")


if __name__ == "__main__":
    main()
