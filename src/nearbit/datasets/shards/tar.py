"""WebDataset tars: members whose names differ after the first dot alone are one image with its labels.

`0001.jpg` with `0001.cls` (a label a line), `0001.txt` (a caption) and `0001.json` (labels, and anything else). Nothing
is unpacked to a disk, and no member is ever run as code: others than these are passed over, and counted.
"""

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from nearbit.datasets.shards.sample import LARGEST_IMAGE, Passed, Sample, label_names, labels_in, plain_name
from nearbit.errors import DataError
from nearbit.json_text import parse_json
from nearbit.names import escaped
from nearbit.reading import ReadingOptions

IMAGES = frozenset([
    "jpg", "jpeg", "jpe", "jfif", "png", "gif", "bmp", "ppm", "pgm", "pbm", "pnm", "webp", "tif", "tiff", "avif", "jp2",
    "j2k", "heic", "heif", "image",
])  # fmt: skip
"""Endings of members that are images; what they hold is found out by their first bytes."""

TEXTS = ("cls", "txt", "json")
LARGEST_TEXT = 2**24
BLOCK = tarfile.BLOCKSIZE
_NAME = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]+)", re.DOTALL)


@dataclass
class _Group:
    """The members of one image, as far as they came."""

    key: str
    images: list[tuple[str, tarfile.TarInfo]] = field(default_factory=list)
    texts: dict[str, tarfile.TarInfo] = field(default_factory=dict)
    problem: str = ""


class _Bounded:
    """A file of which no more is read at once than the largest image has: headers may claim any length."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        """Return so many bytes, and fewer at the end."""
        if not 0 <= size <= LARGEST_IMAGE + BLOCK:
            raise DataError(f"a member asks for {size:,} bytes at once; none has more than {LARGEST_IMAGE:,}")
        return self._file.read(size)


def read_tar(file: BinaryIO, name: str, options: ReadingOptions, passed: Passed) -> Iterator[Sample]:
    """Yield the images of a tar, in its order, with their bytes.

    Args:
        file: open for reading, from anywhere in it.
        name: of the shard: with the name of the member it names an image.
        options: `label_column` names the entry of `.json` that holds the labels.
        passed: counts the members that are nothing of these.

    Raises:
        DataError: no tar, a damaged one, or one without its end.
    """
    bounded: Any = _Bounded(file)
    try:
        with tarfile.open(fileobj=bounded, mode="r:") as archive:
            for row, group in enumerate(_groups(archive, passed)):
                yield _sample(archive, group, row, name, options)
            _check_end(bounded, archive.offset)
    except (tarfile.TarError, EOFError, OverflowError, ValueError, RecursionError) as error:
        raise DataError(f"it cannot be read as a tar: {error}; fetch it again") from error


def _groups(archive: Any, passed: Passed) -> Iterator[_Group]:
    """Yield the images of an archive, each once all its members were seen."""
    group: _Group | None = None
    while (member := archive.next()) is not None:
        archive.members = []  # which it keeps of all, and nobody asks for
        if member.isdir():
            continue
        found = _NAME.fullmatch(member.name)
        kind = "" if found is None else found[2].lower()
        if found is None or not member.isreg() or not _is_known(kind):
            passed[f".{kind.rpartition('.')[2]}" if found and member.isreg() else "other"] += 1
            continue
        if group is None or group.key != found[1]:
            if group is not None:
                yield group
            group = _Group(found[1])
        _put(group, kind, member)
    if group is not None:
        yield group


def _is_known(kind: str) -> bool:
    return kind in TEXTS or kind.rpartition(".")[2] in IMAGES


def _put(group: _Group, kind: str, member: tarfile.TarInfo) -> None:
    if kind in TEXTS:
        if kind in group.texts:
            group.problem = group.problem or f"several members .{kind}"
        group.texts[kind] = member
    else:
        group.images.append((kind, member))


def _sample(archive: tarfile.TarFile, group: _Group, row: int, name: str, options: ReadingOptions) -> Sample:
    shown = escaped(group.key)
    try:
        if group.problem:
            raise DataError(group.problem)
        if len(group.images) != 1:
            kinds = ", ".join(f".{kind}" for kind, _ in group.images) or ", ".join(f".{kind}" for kind in group.texts)
            raise DataError(f"expected one image, came {len(group.images)} (members {kinds})")
        labels, metadata = _said(archive, group, options)
        kind, member = group.images[0]
        whole = plain_name(f"{group.key}.{kind}")
        image = _content(archive, member, LARGEST_IMAGE)
        said: Any = {"labels": labels, "metadata": metadata, "start": member.offset_data}
        return Sample(key=whole, path=f"{name}/{whole}", row=row, image=image, **said)
    except DataError as error:
        return Sample(key=shown, path=f"{name}/{shown}", row=row, problem=str(error))


def _said(archive: tarfile.TarFile, group: _Group, options: ReadingOptions) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return labels and metadata: labels are those of `.cls`, else those in `.json`."""
    metadata: dict[str, Any] = {}
    if "json" in group.texts:
        found = parse_json(_content(archive, group.texts["json"], LARGEST_TEXT), "its .json", DataError)
        if not isinstance(found, dict):
            raise DataError(f"its .json must hold an object, not {type(found).__name__}")
        metadata = {key: value for key, value in found.items() if key not in ("path", "digest")}
    labels = labels_in(metadata, options.label_column, options.separator)
    metadata.pop("labels", None)
    if "txt" in group.texts:
        metadata["text"] = _text(archive, group.texts["txt"])
    if "cls" in group.texts:
        labels = label_names(_text(archive, group.texts["cls"]).splitlines())
    return labels, metadata


def _text(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    try:
        return _content(archive, member, LARGEST_TEXT).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{escaped(member.name)[-40:]} is not UTF-8 text (byte {error.start})") from error


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, most: int) -> bytes:
    if member.size > most:
        raise DataError(f"{escaped(member.name)[-40:]} has {member.size:,} bytes; expected at most {most:,}")
    with _extracted(archive, member) as handle:
        content: bytes = handle.read(member.size)
    return content


def _extracted(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Any:
    handle = archive.extractfile(member)
    if handle is None:
        raise DataError(f"{escaped(member.name)[-40:]} is no regular file")
    return handle


def _check_end(file: _Bounded, offset: int) -> None:
    """Raise `DataError` unless zeros stand where no header follows: `tarfile` takes damage for the end."""
    file.seek(offset)
    block = file.read(BLOCK)
    if len(block) < BLOCK or block.strip(b"\0"):
        what = "is cut off" if len(block) < BLOCK else "is damaged"
        raise DataError(f"the tar {what} at byte {offset:,}: expected its end or another member; fetch it again")
