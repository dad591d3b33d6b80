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

from text_makers import COLORS, SHAPES, TEMPLATES, pictures, tiny_model, trained, write_checkpoint

import nearbit as nb
from nearbit.codes import binarize
from nearbit.networks.heads import apply_head
from nearbit.networks.text import load_text_tower
from nearbit.untrained import untrained_model

RESULTS = Path(__file__).parent / "results" / "text_gap.json"
SEEDS, STEPS, EACH, N_BITS = (0, 1, 2), 150, 20, 16


def average_precision(scores, relevant):
    """Return average precision of a ranking by score, the highest first; ties in the order given."""
    hits = relevant[np.argsort(-scores, kind="stable")]
    return float((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean())


def queries():
    """Return texts with what they mean: colors alone, shapes alone, both."""
    singles = [(word, word, None) for word in COLORS] + [(word, None, word) for word in SHAPES]
    return singles + [(f"{color} {shape}", color, shape) for color in COLORS for shape in SHAPES]


def ways(features, prompts_wide, prompts_own, head_mean):
    """Return the features of texts as each way gives them to the head."""
    return {
        "as they are": features,
        "without the head's offset": features + head_mean,
        "less the mean of the general prompts": features - prompts_wide + head_mean,
        "less the mean of prompts about these pictures": features - prompts_own + head_mean,
    }


def of_seed(seed, folder):
    model, reader = tiny_model(seed=seed)
    write_checkpoint(folder, trained(model, reader, STEPS, seed), reader)
    images, pairs = pictures(EACH, 1000 + seed)
    dataset = nb.from_images(np.stack([np.asarray(image) for image in images]), None)
    hashing = untrained_model(dataset, f"hf:{folder}", n_bits=N_BITS)
    backbone, head = hashing.network.backbone, hashing.network.head
    own = [form.format(f"{color} {shape}") for form in TEMPLATES for color in COLORS for shape in SHAPES]
    tower = load_text_tower(folder, backbone.module)
    tower_own = load_text_tower(folder, backbone.module, prompts=own)
    pixels = torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2)
    with torch.no_grad():
        floats = backbone.eval()(pixels).numpy()
    signs = np.where(np.unpackbits(binarize(apply_head(head, floats, N_BITS)), axis=1, count=N_BITS) > 0, 1.0, -1.0)
    texts = queries()
    features = tower.features([text for text, _, _ in texts])
    relevant = [np.array([c in (color, None) and s in (shape, None) for color, shape in pairs]) for _, c, s in texts]
    mean = lambda rows: float(np.mean([average_precision(row, hit) for row, hit in zip(rows, relevant, strict=True)]))  # noqa: E731
    found = {"float cosine": mean(features @ floats.T), "gap (distance of means)": float(np.linalg.norm(features.mean(0) - floats.mean(0)))}
    for name, moved in ways(features, tower.mean, tower_own.mean, head.feature_mean.numpy()).items():
        outputs = apply_head(head, moved.astype(np.float32), N_BITS)
        found[f"{name}: asymmetric"] = mean(outputs @ signs.T)
        found[f"{name}: codes"] = mean(np.where(outputs >= 0, 1.0, -1.0) @ signs.T)
    return found


def main():
    rows = []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(of_seed(seed, Path(folder)))
    for name in rows[0]:
        values = [row[name] for row in rows]
        print(f"{name:64} {np.mean(values):.3f}  ({', '.join(f'{value:.3f}' for value in values)})")
    about = {"seeds": SEEDS, "steps": STEPS, "each": EACH, "n_bits": N_BITS, "day": time.strftime("%Y-%m-%d")}
    RESULTS.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
