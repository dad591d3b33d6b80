"""Changes of the index: one item more, one item less. Off unless the service was started to allow them."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from starlette.requests import Request
from starlette.responses import Response

from nearbit.codes import binarize
from nearbit.datasets import content_digest, image_format
from nearbit.files.writing import write_whole
from nearbit.index.storage.open_file import real_path
from nearbit.service.collection import items_of
from nearbit.service.http.errors import ApiError
from nearbit.service.http.query_params import by_name, parse_item_id, parse_json_object
from nearbit.service.http.uploads import Upload, decoded, upload_of
from nearbit.service.service import Service

SUFFIXES = {"JPEG": "jpg", "MPO": "jpg", "JPEG2000": "jp2"}
"""Endings of files by format, where they are not the format's own name."""

FIELDS = ("label", "metadata")


async def add_item(request: Request) -> Response:
    """Add an image: its file is kept beside the index, its code in it, durably, before this answers."""
    service = _writing(request)
    model = await service.encoding.model()
    upload = await upload_of(request, service.options.limits)
    values = by_name(upload.fields, FIELDS, repeated=("label",))
    metadata = parse_json_object(values["metadata"][0], "metadata") if "metadata" in values else {}
    reserved = sorted({"path", "digest", "labels"} & set(metadata))
    if reserved:
        raise ApiError(
            422, f"metadata must not hold {reserved[0]!r}", "labels are fields named label; the rest is ours"
        )
    image = await service.decoding(decoded, upload.data, model.preprocessing.resize, service.options.limits)
    await service.searching(service.check_model, model)
    outputs = await service.encoding.outputs(image)
    about = {**metadata, "labels": _labels(values.get("label", []))}
    item_id = await service.changing(_add, service, upload, outputs, about)
    rendered = await service.searching(service.collection.rendered, [item_id])
    place = f"/api/v1/items/{item_id}"
    return Response(b"{" + rendered[0].json, 201, media_type="application/json", headers={"Location": place})


async def remove_item(request: Request) -> Response:
    """Remove an item, its thumbnail, and its file if it was uploaded here."""
    service = _writing(request)
    await service.changing(_remove, service, parse_item_id(request.path_params["item_id"]))
    return Response(status_code=204)


def _labels(fields: list[str]) -> list[str]:
    """Return the labels that fields name: trimmed, each once; a field of a form that was left blank names none."""
    return list(dict.fromkeys(label for label in map(str.strip, fields) if label))


def _writing(request: Request) -> Service:
    by_name(request.query_params.multi_items(), ())
    service: Service = request.app.state.service
    if not service.options.allow_write:
        raise ApiError(
            403, "this service does not change its index", "start it with --allow-write and a token", code="read_only"
        )
    return service


def _add(service: Service, upload: Upload, outputs: npt.NDArray[np.float32], about: dict[str, Any]) -> int:
    """Keep the file, then add the item; return its id."""
    folder = _folder(service)
    digest = content_digest(upload.data)
    kind = image_format(upload.data)
    file = folder / f"{digest}.{SUFFIXES.get(kind, kind.lower())}"
    if not file.exists():
        write_whole(file, lambda aside: _write(aside, upload.data))
    facts = {**about, "path": f"{folder.name}/{file.name}", "digest": digest, "added": int(time.time())}
    with service.collection.use() as index:
        kept = outputs[None] if index.outputs is not None else None
        ids = index.add(binarize(outputs[None]), metadata=[facts], outputs=kept)
    service.collection.fresh()
    return int(ids[0])


def _remove(service: Service, item_id: int) -> None:
    with service.collection.use() as index:
        item = items_of(index, [item_id])[0]
        index.remove([item_id])
        is_last = not len(index.matching({"digest": item.digest}))
    service.collection.fresh()
    file = service.collection.pictures.file_of(item)
    if is_last:
        service.thumbnails.forget(item)
        if file is not None and file.parent == _folder(service).resolve():
            file.unlink(missing_ok=True)


def _folder(service: Service) -> Path:
    """Return the folder of uploaded files, beside the index."""
    index = real_path(service.options.index).absolute()
    return index.with_name(f"{index.name}-images")


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
