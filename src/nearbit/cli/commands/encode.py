"""`nearbit encode`: images to an .npz file of codes."""

from pathlib import Path
from typing import Any

import click

from nearbit.cli.console import (
    Bars,
    Data,
    ModelPath,
    device_option,
    emit,
    image_options,
    json_option,
    list_problems,
    read_images,
)
from nearbit.reading import ReadingOptions


@click.command("encode", epilog="Example: nearbit encode birds.model new-photos/ -o codes.npz")
@click.argument("model_path", metavar="MODEL", type=ModelPath())
@click.argument("sources", metavar="IMAGES...", nargs=-1, required=True, type=Data())
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The file to write (.npz)."
)
@click.option("--outputs", "with_outputs", is_flag=True, help="Keep the real-valued outputs too.")
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
    **reading: Any,
) -> None:
    """Encode IMAGES (a folder, a labels file, a known data set, or image files) with MODEL, in order.

    The file holds `codes` (uint8), `n_bits`, `model_id`, `keys` (paths), `digests`, `labels` and `classes`.
    """
    import numpy as np

    from nearbit.codes import binarize
    from nearbit.files.writing import cache_folder, write_whole
    from nearbit.model.load import load_any_model

    model = load_any_model(model_path)
    kept = cache or cache_folder()
    with Bars() as progress:
        dataset = read_images(sources, ReadingOptions(cache=kept, progress=progress, **reading))
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
