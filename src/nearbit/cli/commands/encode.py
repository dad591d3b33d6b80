"""`nearbit encode`: images to an .npz file of codes, or shards of images to a folder of Parquet files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from nearbit.cli.console import (
    Bars,
    Data,
    ModelPath,
    NewPath,
    device_option,
    emit,
    image_options,
    json_option,
    list_problems,
    read_images,
    refuse_options,
    say_notes,
)
from nearbit.errors import InputError
from nearbit.names import counted
from nearbit.reading import ReadingOptions


@click.command("encode", epilog="Example: nearbit encode birds.model new-photos/ -o codes.npz")
@click.argument("model_path", metavar="MODEL", type=ModelPath())
@click.argument("sources", metavar="IMAGES...", nargs=-1, required=True, type=Data())
@click.option(
    "-o",
    "--output",
    type=NewPath(may_be_here=True),
    required=True,
    help="The file to write (.npz); of shards a folder.",
)
@click.option("--outputs", "with_outputs", is_flag=True, help="Keep the real-valued outputs too.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Of shards: how many processes.")
@click.option(
    "--engine",
    type=click.Choice(["plain", "ray"]),
    default="plain",
    show_default=True,
    help="Of shards: who runs them.",
)
@click.option("--ray-address", help="A Ray cluster, such as auto or ray://HOST:10001. [default: Ray on this machine]")
@device_option
@image_options
@json_option
def command(
    model_path: Path,
    sources: tuple[str, ...],
    output: Path,
    with_outputs: bool,
    device: str,
    as_json: bool,
    cache: Path | None,
    workers: int,
    engine: str,
    ray_address: str | None,
    **reading: Any,
) -> None:
    """Encode IMAGES (a folder, a labels file, a known data set, or image files) with MODEL, in order.

    The file holds `codes` (uint8), `n_bits`, `model_id`, `keys` (paths), `digests`, `labels` and `classes`.

    IMAGES that are shards (.tar of WebDataset, .parquet; folders of them; addresses such as 's3://bucket/*.tar') become
    a Parquet file each in the folder OUTPUT, which may be an address, too: several processes or Ray encode them, and
    the same command goes on where it was ended.
    """
    if _are_shards(sources, output):
        how: dict[str, Any] = {"workers": workers, "engine": engine, "ray_address": ray_address, "device": device}
        _encode_shards(model_path, sources, output, as_json, reading, outputs=with_outputs, **how)
        return
    for_shards = {"workers", "engine", "ray_address"}
    refuse_options({str(one.name) for one in click.get_current_context().command.params} - for_shards, FOR_SHARDS)
    _encode_images(model_path, sources, output, device, as_json, cache, reading, with_outputs=with_outputs)


FOR_SHARDS = "goes with shards (.tar, .parquet) and a folder to write"
NOT_FOR_SHARDS = ("cache", "class_level", "download", "label_level")


def _are_shards(sources: Sequence[str], output: Path) -> bool:
    """Say whether all images lie in shards, and the output is no `.npz` file."""
    from nearbit.files.addresses import is_address

    if output.suffix.lower() == ".npz":
        return False
    return all(is_address(source) or _is_shard(source) for source in sources)


def _is_shard(source: str) -> bool:
    from nearbit.datasets.formats.shards import find_shards
    from nearbit.datasets.shards import is_shard

    return is_shard(source) or (Path(source).is_dir() and find_shards(Path(source)) is not None)


def _encode_shards(
    model_path: Path, sources: Sequence[str], output: Path, as_json: bool, reading: dict[str, Any], **how: Any
) -> None:
    from nearbit.files.addresses import address_of
    from nearbit.shards import encode_shards

    useful = {str(one.name) for one in click.get_current_context().command.params} - set(NOT_FOR_SHARDS)
    refuse_options(useful, "does nothing for shards")
    with Bars() as progress:
        made = encode_shards(model_path, sources, output, options=ReadingOptions(**reading), progress=progress, **how)
    n_shards, name = len(made.pop("shards")), address_of(output)
    about = {"codes": name, "shards": n_shards, **made}
    line = f"{name}: {made['items']} codes of {made['n_bits']} bits in {n_shards} shards ({made['encoded_now']} now)"
    skipped = counted(made["problems"], "image was skipped", "images were skipped")
    skipped += "; the reasons are in NAME.errors.jsonl beside the codes"
    emit(about, as_json=as_json, lines=[line, *([skipped] if made["problems"] else [])])


def _encode_images(
    model_path: Path,
    sources: tuple[str, ...],
    output: Path,
    device: str,
    as_json: bool,
    cache: Path | None,
    reading: dict[str, Any],
    *,
    with_outputs: bool,
) -> None:
    import numpy as np

    from nearbit.codes import binarize
    from nearbit.files.writing import cache_folder, check_replaceable, write_whole
    from nearbit.model.load import load_any_model

    if output.is_dir():
        raise InputError(f"-o {output} is a folder, and of images that lie in no shards a file is written: name one")
    check_replaceable(output)
    model = load_any_model(model_path)
    kept = cache or cache_folder()
    with Bars() as progress:
        dataset = read_images(sources, ReadingOptions(cache=kept, progress=progress, **reading))
        say_notes(dataset)
        encoded = model.encode_dataset(dataset, device=device, cache=kept, progress=progress)
    errors = list_problems(dataset.problems + encoded.problems, output.with_name(output.name + ".errors.jsonl"))
    arrays: dict[str, Any] = {
        "codes": binarize(encoded.outputs),
        "n_bits": np.int64(model.n_bits),
        "keys": np.array([dataset.keys[row] for row in encoded.rows], np.str_),
        "digests": np.array([dataset.digests[row] for row in encoded.rows], np.str_),
        "model_id": np.array(model.model_id),
        "labels": dataset.labels[encoded.rows],
        "classes": np.array(dataset.classes, np.str_),
    }
    if with_outputs:
        arrays["outputs"] = encoded.outputs

    def write(aside: Path) -> None:
        with open(aside, "wb") as handle:
            np.savez(handle, allow_pickle=False, **arrays)

    write_whole(output, write)
    emit(
        {
            "codes": str(output),
            "n_items": len(encoded.rows),
            "n_bits": model.n_bits,
            "model_id": model.model_id,
            "errors_file": errors,
        },
        as_json=as_json,
        lines=[f"{output}: {len(encoded.rows)} codes of {model.n_bits} bits"],
    )
