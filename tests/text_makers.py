"""A tiny model of images and text, trained for seconds on generated pictures of colored shapes, and these pictures."""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

COLORS = {
    "red": (220, 30, 30), "green": (30, 180, 50), "blue": (40, 60, 220), "yellow": (230, 220, 40),
    "purple": (150, 40, 170), "white": (240, 240, 240),
}  # fmt: skip
SHAPES = ("circle", "square", "bar", "cross")
TEMPLATES = ("{}", "a {}", "a photo of a {}")
SIZE = 24
WORDS = ("a", "photo", "of", "the", "picture", *COLORS, *SHAPES)


def picture(color, shape, rng):
    """Return a picture: a shape of a color, anywhere, on a gray ground with noise."""
    ground = int(rng.integers(60, 130))
    image = Image.new("RGB", (SIZE, SIZE), (ground, ground, ground))
    draw = ImageDraw.Draw(image)
    x, y = (int(value) for value in rng.integers(1, 7, 2))
    side = int(rng.integers(13, 16))
    tint = tuple(int(value) for value in np.clip(np.array(COLORS[color]) + rng.integers(-20, 21, 3), 0, 255))
    if shape == "circle":
        draw.ellipse((x, y, x + side, y + side), fill=tint)
    elif shape == "square":
        draw.rectangle((x, y, x + side, y + side), fill=tint)
    elif shape == "bar":
        draw.rectangle((x, y + side // 3, x + side, y + 2 * side // 3), fill=tint)
    else:
        for turn in (0, side):
            draw.line((x, y + turn, x + side, y + side - turn), fill=tint, width=4)
    pixels = np.asarray(image, np.int16) + rng.integers(-12, 13, (SIZE, SIZE, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def pictures(each, seed):
    """Return `each` pictures of every color and shape, and these: lists of the same length."""
    rng = np.random.default_rng(seed)
    pairs = [(color, shape) for color in COLORS for shape in SHAPES for _ in range(each)]
    return [picture(color, shape, rng) for color, shape in pairs], pairs


def written_pictures(folder, each, seed):
    """Write pictures as COLOR-SHAPE-N.png, in one folder without labels."""
    folder.mkdir(parents=True, exist_ok=True)
    images, pairs = pictures(each, seed)
    for number, (image, (color, shape)) in enumerate(zip(images, pairs, strict=True)):
        image.save(folder / f"{color}-{shape}-{number}.png")
    return folder


def tokenizer(words=WORDS):
    """Return a tokenizer of whole words, in lower case, with marks at both ends as CLIP has them."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    names = ["<pad>", "<unk>", "<start>", *words, "<end>"]
    numbers = {word: number for number, word in enumerate(names)}
    made = Tokenizer(models.WordLevel(numbers, unk_token="<unk>"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("<start>", numbers["<start>"]), ("<end>", numbers["<end>"])]
    made.post_processor = processors.TemplateProcessing(single="<start> $A <end>", special_tokens=ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", unk_token="<unk>", bos_token="<start>", eos_token="<end>"
    )


def tiny_config(kind, n_words):
    """Return the configuration of a tiny model of a type."""
    import transformers

    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision = sizes | {"image_size": SIZE, "patch_size": 6}
    text = sizes | {"vocab_size": n_words, "max_position_embeddings": 12, "pad_token_id": 0}
    if kind != "chinese_clip":
        text |= {"bos_token_id": 2, "eos_token_id": n_words - 1}
    own = {} if kind == "siglip" else {"projection_dim": 24}
    if kind == "siglip":
        text |= {"projection_size": 32}
    return transformers.AutoConfig.for_model(kind, vision_config=vision, text_config=text, **own)


def tiny_model(kind="clip", *, seed=0, words=WORDS):
    """Return a tiny model of images and text with random weights, and its tokenizer."""
    import transformers

    reader = tokenizer(words)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = transformers.AutoModel.from_config(tiny_config(kind, len(reader)))
    return model.eval(), reader


def trained(model, reader, steps=150, seed=0):
    """Train a CLIP model so that the words of a picture and the picture meet; return it."""
    images, pairs = pictures(8, seed + 1)
    pixels = torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2).float()
    pixels = (pixels / 255 - 0.5) / 0.25
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    model.train()
    for _ in range(steps):
        rows = np.array([rng.choice(np.flatnonzero([pair == one for one in pairs])) for pair in sorted(set(pairs))])
        words = [rng.choice(TEMPLATES).format(" ".join(pairs[row])) for row in rows]
        tokens = reader(words, return_tensors="pt", padding=True)
        found = model(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"], pixel_values=pixels[rows])
        goal = torch.arange(len(rows))
        cross_entropy = torch.nn.functional.cross_entropy
        loss = cross_entropy(found.logits_per_image, goal) + cross_entropy(found.logits_per_text, goal)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def write_checkpoint(folder, model, reader):
    """Write a checkpoint in the layout of the hub: configuration, safetensors, preprocessing, tokenizer."""
    folder = Path(folder)
    model.save_pretrained(folder)
    settings = {
        "size": {"height": SIZE, "width": SIZE}, "image_mean": [0.5] * 3, "image_std": [0.25] * 3, "resample": 3,
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")
    reader.save_pretrained(folder)
    return folder


def write_place(root, *, steps=0, n_bits=16, each=4, seed=0):
    """Write a checkpoint, pictures, a model that nobody trained and an index of them below `root`; return it.

    Without steps the checkpoint's weights are random: words then find something, but not what they say.
    """
    from nearbit.datasets import load_images
    from nearbit.index import create_index
    from nearbit.indexing import index_dataset
    from nearbit.model.load import note_of_model
    from nearbit.untrained import untrained_model

    model, reader = tiny_model(seed=seed)
    write_checkpoint(root / "clip", trained(model, reader, steps, seed) if steps else model, reader)
    dataset = load_images(str(written_pictures(root / "pictures", each, 100 + seed)))
    hashing = untrained_model(dataset, f"hf:{root / 'clip'}", n_bits=n_bits, device="cpu")
    hashing.save(root / "pictures.model")
    with create_index(root / "pictures.index", n_bits=n_bits, model_id=hashing.model_id) as index:
        index_dataset(index, hashing, dataset, device="cpu")
        index.set_notes(note_of_model(index, root / "pictures.model"))
    return root
