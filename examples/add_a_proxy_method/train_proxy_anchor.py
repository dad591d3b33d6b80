"""Train learnt proxies on the built-in digits: python examples/add_a_proxy_method/train_proxy_anchor.py"""

from proxy_anchor import PROXY_ANCHOR

import nearbit as nb


def main() -> None:
    """Train, and print how well the codes find digits of the same kind and how far apart the learnt centers are."""
    dataset = nb.load_dataset("digits")
    split = nb.make_split(dataset, seed=0)
    options = nb.TrainOptions(image_size=8, epochs=8, device="cpu")
    model = nb.train(dataset, split, method=PROXY_ANCHOR, n_bits=32, options=options)
    print(f"{model.method}: tie-aware mAP {nb.evaluate(model, dataset).report.tie_aware_map:.3f}")
    print(f"least distance of two centers: {model.record['certificate']['min_distance']} bits")


if __name__ == "__main__":
    main()
