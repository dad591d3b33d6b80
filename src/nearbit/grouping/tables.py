"""Groups and clusters as files: CSV, JSON, a page with pictures, and the list of files that are not kept."""

import csv
import io
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from nearbit.errors import InputError
from nearbit.files.writing import write_json, write_whole
from nearbit.grouping.duplicates import Duplicates, acted_on
from nearbit.grouping.pages import clusters_page, duplicates_page
from nearbit.index import Clusters, Home

DUPLICATE_COLUMNS = (
    "group", "keep", "id", "distance", "path", "file", "width", "height", "bytes", "labels", "digest",
)  # fmt: skip
CLUSTER_COLUMNS = ("cluster", "rank", "id", "distance", "path", "labels")


def check_ending(path: Path, known: Sequence[str]) -> None:
    """Raise `InputError` unless the ending of a file is one that is known."""
    if path.suffix.lower() not in known:
        raise InputError(f"{path}: expected a file that ends in one of {', '.join(known)}, not {path.suffix!r}")


def write_duplicates(path: Path, found: Duplicates) -> None:
    """Write groups to a file, whole or not at all: .csv, .json, .html, or .txt with one file to remove a line.

    Raises:
        InputError: another ending, or a name that the file cannot hold.
    """
    check_ending(path, (".csv", ".json", ".html", ".txt"))
    ending = path.suffix.lower()
    if ending == ".json":
        write_json(path, found.to_dict())
    elif ending == ".csv":
        _write_csv(path, DUPLICATE_COLUMNS, _duplicate_rows(found))
    elif ending == ".txt":
        _write_text(path, "".join(f"{file}\n" for file in acted_on(found)))
    else:
        _write_text(path, duplicates_page(found))


def write_clusters(path: Path, index: Home, found: Clusters, told: Sequence[Any]) -> None:
    """Write clusters to a file, whole or not at all: .csv (every item), .json or .html (what was told of each).

    Raises:
        InputError: another ending, or a name that the file cannot hold.
    """
    check_ending(path, (".csv", ".json", ".html"))
    ending = path.suffix.lower()
    if ending == ".json":
        write_json(path, {"items": len(found.ids), "clusters": [one.to_dict() for one in told]})
    elif ending == ".csv":
        _write_csv(path, CLUSTER_COLUMNS, _cluster_rows(index, found))
    else:
        _write_text(path, clusters_page(index, found, told))


def _duplicate_rows(found: Duplicates) -> Iterable[Sequence[object]]:
    for number, group in enumerate(found.groups, start=1):
        for one in (group.kept, *group.others):
            keep = "yes" if one is group.kept else "no"
            size = ("" if value is None else value for value in (one.width, one.height, one.n_bytes))
            labels = ";".join(one.labels)
            yield number, keep, one.id, one.distance, one.path or "", one.file or "", *size, labels, one.digest or ""


def _cluster_rows(index: Home, found: Clusters) -> Iterable[Sequence[object]]:
    items = {item.id: (item.path or "", ";".join(item.labels)) for item in index}
    ids, away, offsets = found.ids.tolist(), found.distances.tolist(), found.offsets.tolist()
    for number, (start, stop) in enumerate(pairwise(offsets), start=1):
        for at in range(start, stop):
            yield number, at - start, ids[at], away[at], *items.get(ids[at], ("", ""))


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    _write_text(path, text.getvalue())


def _write_text(path: Path, text: str) -> None:
    content = text.encode("utf-8", "surrogateescape")  # a file name that is not UTF-8 keeps its bytes
    write_whole(path, lambda aside: _put(aside, content))


def _put(path: Path, content: bytes) -> None:
    path.write_bytes(content)
