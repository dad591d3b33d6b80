"""`nearbit add-class`: one more class for a trained model, from a few images and without training."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

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
)
from nearbit.errors import InputError
from nearbit.names import label_name
from nearbit.reading import ReadingOptions

if TYPE_CHECKING:
    from nearbit.model.add_class import AddedClass


@click.command(
    "add-class", epilog="Example: nearbit add-class birds.model wrens/ --name wren --keep photos/ -o new.model"
)
@click.argument("model_path", metavar="MODEL", type=ModelPath())
@click.argument("sources", metavar="IMAGES...", nargs=-1, required=True, type=Data())
@click.option("--name", required=True, help="The name of the new class.")
@click.option("-o", "--output", type=NewPath(), required=True, help="The model folder to write.")
@click.option(
    "--keep",
    metavar="DATA",
    type=Data(),
    help="Solve the last layer anew, so that the new images reach their center and those that MODEL was trained on "
    "stay: these are looked for in DATA. [default: the network stays as it is]",
)
@click.option(
    "--min-distance",
    type=click.IntRange(1),
    help="Bits from the new center to all others, or an error. [default: MODEL's own, or the most that is found]",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="For the search for a center.")
@click.option("--overwrite", is_flag=True, help="Replace another model at OUTPUT.")
@device_option
@image_options
@json_option
def command(
    model_path: Path,
    sources: tuple[str, ...],
    name: str,
    output: Path,
    keep: str | None,
    min_distance: int | None,
    seed: int,
    overwrite: bool,
    device: str,
    as_json: bool,
    cache: Path | None,
    **reading: Any,
) -> None:
    """Give MODEL one more class from IMAGES of it, and write the new model.

    The class gets a spare codeword near its images. Without --keep the network and all codes stay as they are; with it
    the last layer changes, codes too, and indexes must be made again with the new model.
    """
    from nearbit.files.writing import cache_folder
    from nearbit.model.add_class import add_class
    from nearbit.model.bundle import load_model
    from nearbit.model.manifest import check_target

    name = label_name(name)
    check_target(output)
    if output.exists() and not overwrite:
        raise InputError(f"{output} is there already: choose another -o, or pass --overwrite to replace it")
    kept = cache or cache_folder()
    with Bars() as progress:
        model = load_model(model_path)
        options = ReadingOptions(cache=kept, progress=progress, **reading)
        images = read_images(sources, options)
        old = None if keep is None else read_images([keep], options)
        added = add_class(
            model, images, name=name, keep=old, min_distance=min_distance, seed=seed, device=device, cache=kept,
            progress=progress,
        )  # fmt: skip
    skipped = images.problems + (() if old is None else old.problems) + added.problems
    errors = list_problems(skipped, output.with_name(output.name + ".errors.jsonl"))
    added.model.save(output)
    about = _about(added, name, output, model.model_id) | {"errors_file": errors}
    emit(about, as_json=as_json, lines=_lines(about))


def _about(added: "AddedClass", name: str, output: Path, old_id: str) -> dict[str, Any]:
    return {
        "model": str(output),
        "model_id": added.model.model_id,
        "codes_changed": added.model.model_id != old_id,
        "class": name,
        "n_classes": len(added.model.classes),
        "images": added.n_images,
        "kept_images": added.n_kept,
        "center_distance": added.center_distance,
        "model_distance": added.model_distance,
        "warning": added.warning,
        "nearest_before": added.nearest_before,
        "nearest": added.nearest,
        "kept_bits": added.kept_bits,
    }


def _lines(about: dict[str, Any]) -> list[str]:
    lines = [
        f"{about['model']}: {about['n_classes']} classes, the last is {about['class']!r}, {about['center_distance']} "
        "bits or more from the others",
        f"of {about['images']} images, {about['nearest']:.0%} are nearest to the new center",
        *([f"warning: {about['warning']}"] if about["warning"] else []),
    ]
    if not about["codes_changed"]:
        return [*lines, "the network and all codes are as before; --keep DATA moves the class to its center"]
    return [
        *lines,
        f"before: {about['nearest_before']:.0%}; {about['kept_bits']:.1%} of the bits of {about['kept_images']} kept "
        "images are as before",
        "codes have changed: make indexes again with this model",
    ]
