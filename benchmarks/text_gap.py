"""Words to codes: how the gap between the features of texts and of images is best dealt with, on a tiny model.

`python benchmarks/text_gap.py` trains tiny models of images and text on generated pictures of colored shapes (as
tests/text_makers.py does; one a seed), makes ITQ codes of other pictures without labels, and searches them by words.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import nearbit as nb
from nearbit.codes import binarize
from nearbit.networks.heads import apply_head
from nearbit.networks.text import load_text_tower
from nearbit.untrained import untrained_model
from text_makers import COLORS, SHAPES, TEMPLATES, WORDS, pictures, tiny_model, trained, write_checkpoint

RESULTS = Path(__file__).parent / "results" / "text_gap.json"
SEEDS, STEPS, EACH, N_BITS = (0, 1, 2), 150, 20, 16


def average_precision(scores, relevant):
    """Return average precision of a ranking by score, the highest first; ties in the order given."""
    hits = relevant[np.argsort(-scores, kind="stable")]
    return float((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean())


def worlds():
    """Return, by name, the colors and shapes that are searched, and those that prompts about other things name."""
    colors, shapes = tuple(COLORS), SHAPES
    half, others = (colors[::2], shapes[::2]), (colors[1::2], shapes[1::2])
    return {"all pictures": ((colors, shapes), None), "half of them": (half, others)}


def texts_of(colors, shapes):
    """Return texts with what they mean: colors alone, shapes alone, both."""
    singles = [(color, color, None) for color in colors] + [(shape, None, shape) for shape in shapes]
    return singles + [(f"{color} {shape}", color, shape) for color in colors for shape in shapes]


def prompts_of(colors, shapes):
    """Return prompts about pictures of these."""
    return [form.format(text) for form in TEMPLATES for text, _, _ in texts_of(colors, shapes)]


def ways(features, means, head_mean):
    """Return the features of texts as each way gives them to the head."""
    moved = {name: features - mean + head_mean for name, mean in means.items()}
    return {"as they are": features, "without the head's offset": features + head_mean, **moved}


def of_seed(seed, folder):
    """Return the figures of one seed by name."""
    model, reader = tiny_model(seed=seed)
    write_checkpoint(folder, trained(model, reader, STEPS, seed), reader)
    made = list(zip(*pictures(EACH, 1000 + seed), strict=True))
    found = {}
    for world, (searched, others) in worlds().items():
        kept = [(image, pair) for image, pair in made if pair[0] in searched[0] and pair[1] in searched[1]]
        figures = of_world(folder, kept, searched, others)
        found |= {f"{world}, {name}": value for name, value in figures.items()}
    return found


def of_world(folder, kept, searched, others):
    """Return the figures of words among some pictures."""
    pixels, pairs = np.stack([np.asarray(image) for image, _ in kept]), [pair for _, pair in kept]
    hashing = untrained_model(nb.from_images(pixels), f"hf:{folder}", n_bits=N_BITS)
    backbone, head = hashing.network.backbone, hashing.network.head
    with torch.no_grad():
        floats = backbone.eval()(torch.from_numpy(pixels).permute(0, 3, 1, 2)).numpy()
    bits = np.unpackbits(binarize(apply_head(head, floats, N_BITS)), axis=1, count=N_BITS)
    signs, texts = np.where(bits > 0, 1.0, -1.0), texts_of(*searched)
    prompts = {
        "less the mean of prompts about these": prompts_of(*searched),
        "less the mean of prompts about others": prompts_of(*others) if others else [],
        "less the mean of prompts without meaning": [f"the of {word}" for word in WORDS[:5]],
    }
    tower = load_text_tower(folder, backbone.module)
    features = tower.features([text for text, _, _ in texts])
    relevant = [np.array([c in (color, None) and s in (shape, None) for color, shape in pairs]) for _, c, s in texts]

    def mean_of(scores):
        return float(np.mean([average_precision(row, hit) for row, hit in zip(scores, relevant, strict=True)]))

    gap = float(np.linalg.norm(features.mean(axis=0) - floats.mean(axis=0)))
    found = {"gap (distance of the means)": gap, "float features, cosine": mean_of(features @ floats.T)}
    means = {name: tower.features(given).mean(axis=0) for name, given in prompts.items() if given}
    for name, moved in ways(features, means, head.feature_mean.numpy()).items():
        outputs = apply_head(head, moved.astype(np.float32), N_BITS)
        found[f"{name}: asymmetric"] = mean_of(outputs @ signs.T)
        found[f"{name}: codes"] = mean_of(np.where(outputs >= 0, 1.0, -1.0) @ signs.T)
    return found


def main():
    rows = []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(of_seed(seed, Path(folder)))
    for name in rows[0]:
        values = [row[name] for row in rows]
        print(f"{name:70} {np.mean(values):.3f}  ({', '.join(f'{value:.3f}' for value in values)})")
    about = {"seeds": SEEDS, "steps": STEPS, "each": EACH, "n_bits": N_BITS, "day": time.strftime("%Y-%m-%d")}
    RESULTS.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
