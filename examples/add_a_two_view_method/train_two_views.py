"""Train it on digits without labels: python examples/add_a_two_view_method/train_two_views.py"""

from two_views import TWO_VIEWS

import nearbit as nb


def main() -> None:
    """Print how well codes that were trained without labels find digits of the same kind."""
    dataset = nb.load_dataset("digits")
    split = nb.make_split(dataset, seed=0)
    options = nb.TrainOptions(image_size=8, epochs=8, device="cpu")
    model = nb.train(dataset, split, method=TWO_VIEWS, n_bits=32, options=options)
    print(f"{model.method}: tie-aware mAP {nb.evaluate(model, dataset).report.tie_aware_map:.3f}")


if __name__ == "__main__":
    main()
