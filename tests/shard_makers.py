"""Shards as other programs write them: tars by the tarfile of Python, tables by pyarrow."""

import io
import json
import tarfile

import numpy as np
from PIL import Image


def image_bytes(seed, *, kind="PNG", side=12):
    """Return an image file: colored fields that follow from the seed alone."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (side // 4, side // 4, 3), dtype=np.uint8).repeat(4, axis=0).repeat(4, axis=1)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def write_tar(path, members):
    """Write members (name, bytes) to a tar, in order; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def members_of(rows):
    """Return the members of images of these seeds, with a class and what else is known."""
    members = []
    for row in rows:
        members += [
            (f"n{row % 3}/{row:04d}.png", image_bytes(row)),
            (f"n{row % 3}/{row:04d}.cls", f"{'abc'[row % 3]}".encode()),
            (f"n{row % 3}/{row:04d}.json", json.dumps({"seen": row}).encode()),
        ]
    return members


def write_shards(folder, *, n_shards=4, per_shard=7, parquet=()):
    """Write shards 0000.tar, 0001.tar, …; those whose numbers are in `parquet` are Parquet files with bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(n_shards):
        rows = range(number * per_shard, (number + 1) * per_shard)
        if number in parquet:
            write_table(folder / f"{number:04d}.parquet", rows)
        else:
            write_tar(folder / f"{number:04d}.tar", members_of(rows))
    return folder


def write_table(path, rows, **more):
    """Write a Parquet file with the bytes of images of these seeds."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "image": [image_bytes(row) for row in rows],
        "path": [f"n{row % 3}/{row:04d}.png" for row in rows],
        "label": ["abc"[row % 3] for row in rows],
        "seen": list(rows),
    }
    pq.write_table(pa.table(columns | more), path)
    return path
