"""`nearbit search`: the nearest images of an index."""

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nearbit.cli.console import (
    device_option,
    echo,
    emit,
    index_argument,
    json_option,
    max_pixels_option,
    model_of_index_option,
    table,
    text_weights_option,
)
from nearbit.errors import InputError, did_you_mean
from nearbit.extras import install_hint
from nearbit.files.writing import path_seen_from

if TYPE_CHECKING:
    from nearbit.index import Home, Item, Place, Results


@click.command("search", epilog="Example: nearbit search birds.index query.jpg -k 10")
@index_argument
@click.argument("queries", metavar="[QUERY]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--id", "ids", type=click.IntRange(0), multiple=True, help="Search from an item of the index; repeatable."
)
@click.option("--text", "texts", multiple=True, help="Search by words, such as 'a red bird on snow'; repeatable.")
@click.option("-k", "k", type=click.IntRange(1), help="Most items a query. [default: 10, or all within --radius]")
@click.option(
    "--radius",
    type=click.FloatRange(0),
    help="Largest distance, in bits; with --asymmetric, largest weighted distance.",
)
@click.option("--label", "labels", multiple=True, help="Only items with this label; repeatable for any of several.")
@click.option(
    "--rerank",
    type=click.IntRange(1),
    metavar="M",
    help="Order the first M by real-valued outputs alone, if INDEX keeps them. [default: only items of one distance]",
)
@click.option(
    "--asymmetric",
    is_flag=True,
    help="Rank by the real-valued outputs of the query: by the sum of |output| over the bits that differ.",
)
@model_of_index_option
@text_weights_option
@device_option
@max_pixels_option
@json_option
def command(
    index_path: "Place",
    queries: tuple[Path, ...],
    ids: tuple[int, ...],
    texts: tuple[str, ...],
    k: int | None,
    radius: float | None,
    labels: tuple[str, ...],
    rerank: int | None,
    asymmetric: bool,
    model_path: Path | None,
    text_weights: str | None,
    device: str,
    as_json: bool,
) -> None:
    """Find the items of INDEX nearest to each QUERY image, ranked by distance in bits, then by id.

    In an INDEX that keeps real-valued outputs, those order the items of one distance. With --asymmetric no INDEX need
    keep any, and a search from an item (--id) needs one that does.

    A search from items of the index (--id) needs no model. One by words (--text) ranks as --asymmetric does, and needs
    a model whose backbone is the image part of CLIP, SigLIP or the like.
    """
    from nearbit.index import open_index

    _check_given(queries, ids, texts, text_weights)
    asymmetric = asymmetric or bool(texts)
    bits = _in_bits(radius, asymmetric=asymmetric, rerank=rerank)
    with open_index(index_path, read_only=True) as index:
        _check_labels(index, labels)
        if asymmetric and ids and index.outputs is None:
            raise InputError(f"{index_path} keeps no outputs of its items: --asymmetric searches from images, not --id")
        if rerank and index.outputs is None:
            raise InputError(
                f"{index_path} keeps no outputs of its items, by which --rerank ranks: make it anew with "
                "--keep-outputs int8, or leave --rerank out"
            )
        if texts:
            codes, outputs = _by_text(index, texts, model_path, text_weights)
        else:
            codes, outputs = _queries(index, queries, ids, model_path, device, keep=asymmetric)
        most = None if k is None and radius is not None else min(k or 10, max(1, len(index)))
        where = {"labels": list(labels)} if labels else None
        if asymmetric:
            results = index.search(codes, k=most, radius=radius, where=where, weights=outputs)
        else:
            results = index.search(codes, k=most, radius=bits, where=where, outputs=outputs, rerank=rerank)
        found = _describe(index, results, [*map(str, queries), *(f"item {number}" for number in ids), *texts])
    _warn_of_missing(found)
    ranking = "weighted distance" if asymmetric else "distance"
    about = {"index": str(index_path), "n_bits": index.n_bits, "ranking": ranking, "results": found}
    emit(about, as_json=as_json, lines=_lines(found))


def _check_given(
    queries: tuple[Path, ...], ids: tuple[int, ...], texts: tuple[str, ...], text_weights: str | None
) -> None:
    folders = [query for query in queries if query.is_dir()]
    if folders:
        raise InputError(
            f"a QUERY is an image file, and {folders[0]} is a folder: name its images (such as {folders[0]}/*.jpg)"
        )
    if texts and (queries or ids):
        raise InputError("--text ranks in another way than images and --id: search by one of them at a time")
    if not queries and not ids and not texts:
        raise InputError("give at least one QUERY image, or --id of an item in the index, or --text")
    if text_weights is not None and not texts:
        raise InputError("--text-weights are for a search by words: give --text, or leave them out")


def _by_text(
    index: "Home", texts: tuple[str, ...], model_path: Path | None, text_weights: str | None
) -> tuple[Any, Any]:
    """Return the codes and the outputs of texts."""
    from nearbit.codes import binarize
    from nearbit.model.text_model import text_model

    outputs = text_model(index, model_path).outputs_of_text(list(texts), weights=text_weights)
    return binarize(outputs), outputs


def _in_bits(radius: float | None, *, asymmetric: bool, rerank: int | None) -> int | None:
    """Return the radius of a search by distance, a whole number; None of an asymmetric one, or where there is none."""
    if asymmetric and rerank is not None:
        raise InputError("--rerank orders by outputs that INDEX keeps: it does not go with --asymmetric or --text")
    if asymmetric or radius is None:
        return None
    if not radius.is_integer():
        raise InputError(f"--radius is a whole number of bits, not {radius:g}; with --asymmetric it may be any number")
    return int(radius)


def _check_labels(index: "Home", labels: tuple[str, ...]) -> None:
    known = index.labels() if labels else {}
    for label in labels:
        if label not in known:
            raise InputError(f"no item of {index.address} has the label {label!r}.{did_you_mean(label, list(known))}")


def _queries(
    index: "Home",
    queries: tuple[Path, ...],
    ids: tuple[int, ...],
    model_path: Path | None,
    device: str,
    *,
    keep: bool,
) -> tuple[Any, Any]:
    """Return the codes of the queries, and their outputs where the index keeps some, or to `keep` them; else None."""
    import numpy as np

    from nearbit.codes import binarize

    codes, outputs = [], []
    if queries:
        from nearbit.model.load import load_for_queries, model_of_index

        model = load_for_queries(model_of_index(index, model_path), device=device)
        outputs.append(model.outputs(list(queries), device=device))
        _hint_at_onnx()
        codes.append(binarize(outputs[0]))
    if ids:
        codes.append(np.stack([item.code for item in _items(index, ids)]))
        if index.outputs is not None:
            outputs.append(index.kept_outputs(list(ids)))
    return np.concatenate(codes), np.concatenate(outputs) if keep or index.outputs is not None else None


def _items(index: "Home", ids: Sequence[int]) -> "list[Item]":
    """Return the items of ids that were given on the command line."""
    try:
        return index.items(list(ids))
    except InputError as error:
        said = str(error).partition(";")[0]
        raise InputError(f"{said}: --id takes an id that the results of a search show") from error


def _hint_at_onnx() -> None:
    """Tell a person what would spare the next search the start of torch, where that was for want of ONNX Runtime."""
    if sys.stderr.isatty() and "torch" in sys.modules and find_spec("onnxruntime") is None:
        echo(
            "nearbit: note: most of the time went into starting torch; with ONNX Runtime a search starts without it: "
            f"{install_hint('onnx', 'onnxruntime')}, then nearbit export MODEL -o NEW.onnx --onnx, and --model NEW.onnx"
        )


def _describe(index: "Home", results: "Results", names: list[str]) -> list[dict[str, Any]]:
    from nearbit.indexing_places import is_missing

    found = []
    for query, name in enumerate(names):
        pairs = results.pairs(query)
        items = index.items([number for number, _ in pairs])
        weighted = None if results.weighted is None else results.weighted[query].tolist()
        neighbors = [
            {
                "id": item.id,
                "id_text": str(item.id),
                "distance": distance,
                **({} if weighted is None else {"weighted_distance": weighted[rank]}),
                "path": item.path,
                "file": _file(index, item.path),
                "missing": is_missing(index.folder, item.path),
                "labels": list(item.labels),
            }
            for rank, (item, (_, distance)) in enumerate(zip(items, pairs, strict=True))
        ]
        found.append({"query": name, "neighbors": neighbors, "neighbours": neighbors})  # the old name: for 0.1 alone
    return found


def _file(index: "Home", path: str | None) -> str | None:
    """Return the absolute path of an item's image; None where it is no file, or is gone."""
    file = Path(os.path.normpath(index.folder / path)) if path else None
    return str(file) if file is not None and file.is_file() else None


def _seen_from_here(item: dict[str, Any]) -> str:
    """Return the path of an item as one can open it from here; as the index keeps it where there is no such file."""
    if item["file"]:
        return path_seen_from(Path.cwd(), Path(item["file"]))
    return f"{item['path']} (missing)" if item["missing"] else item["path"] or "-"


def _lines(found: list[dict[str, Any]]) -> list[str]:
    lines: list[str] = []
    for one in found:
        has_weights = any("weighted_distance" in item for item in one["neighbors"])
        rows = [
            (
                rank,
                *([f"{item['weighted_distance']:.4g}"] if has_weights else []),
                item["distance"],
                item["id"],
                ", ".join(item["labels"]) or "-",
                _seen_from_here(item),
            )
            for rank, item in enumerate(one["neighbors"], start=1)
        ]
        names = ("rank", *(["weighted"] if has_weights else []), "bits", "id", "labels", "path")
        listed = table(rows, names) if rows else ["nothing found"]
        lines += [f"{one['query']}:", *listed, ""]
    return lines[:-1]


def _warn_of_missing(found: list[dict[str, Any]]) -> None:
    """Say how many of the images that were found are not where the index says."""
    missing = {item["id"] for one in found for item in one["neighbors"] if item["missing"]}
    if missing:
        from nearbit.cli.commands.index.images import HOW_TO_FIND

        these = "one of these images is" if len(missing) == 1 else f"{len(missing)} of these images are"
        echo(f"nearbit: warning: {these} no longer where the index says; {HOW_TO_FIND}")
