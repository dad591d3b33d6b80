"""Changes of the index: one item more, one item less. Off unless the service was started to allow them."""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from starlette.responses import Response

from nearbit.codes import binarize
from nearbit.datasets import content_digest, image_format
from nearbit.encoding.preprocessing import of_pixels
from nearbit.errors import NearbitError
from nearbit.files.writing import write_whole
from nearbit.indexing import ADDED, UPLOADS
from nearbit.service.collection import items_of
from nearbit.service.contract.answers import ItemAnswer, JsonAnswer, OtherAnswer
from nearbit.service.contract.declared import Declared, Nothing, field
from nearbit.service.contract.kinds import JsonObject, Texts
from nearbit.service.contract.operation import Call, Upload, UploadForm, delete, post
from nearbit.service.http.errors import ApiError
from nearbit.service.http.uploads import decoded
from nearbit.service.routes.items import OfItem
from nearbit.service.routes.search import UPLOAD
from nearbit.service.service import Service

SUFFIXES = {"JPEG": "jpg", "MPO": "jpg", "JPEG2000": "jp2"}
"""Endings of files by format, where they are not the format's own name."""


class AboutNew(Declared):
    """What is said of a new item, beside its image."""

    labels: tuple[str, ...] = field(
        Texts(), "A label of the item; repeatable. Trimmed; empty ones are none.", default=(), called="label"
    )
    metadata: dict[str, Any] = field(
        JsonObject(without=[ADDED, "path", "digest", "labels"], hint="labels are fields named label; the rest is ours"),
        'A JSON object that is kept with the item, beside the time "added".',
        default={},
    )


@post("/api/v1/items", UploadForm(AboutNew), {201: JsonAnswer(ItemAnswer)}, UPLOAD)
async def add_item(call: Call[Nothing, Upload[AboutNew]]) -> Response:
    """Add an image: its file is kept beside the index, its code in it, durably, before this answers."""
    service = _writing(call.service)
    model = await service.encoding.model()
    upload = await call.body()
    image = await service.decoding(
        decoded, upload.data, of_pixels(model.preprocessing, "an image").resize, service.options.limits
    )
    await service.searching(service.check_model, model)
    outputs = await service.encoding.outputs(image)
    about = {**upload.said.metadata, "labels": _labels(upload.said.labels)}
    item_id = await service.changing(service.of_model, model, _add, service, upload.data, outputs, about)
    rendered = await service.searching(service.collection.rendered, [item_id])
    place = f"/api/v1/items/{item_id}"
    return Response(b"{" + rendered[0].json, 201, media_type="application/json", headers={"Location": place})


@delete("/api/v1/items/{item_id}", OfItem, {204: OtherAnswer("Removed.")}, {404: "not_found", 422: "invalid"})
async def remove_item(call: Call[OfItem, None]) -> Response:
    """Remove an item, its thumbnail, and its file if it was uploaded here."""
    service = _writing(call.service)
    await service.changing(_remove, service, call.asked.item_id)
    return Response(status_code=204)


def _labels(fields: Sequence[str]) -> list[str]:
    """Return the labels that fields name: trimmed, each once; a field of a form that was left blank names none."""
    return list(dict.fromkeys(label for label in map(str.strip, fields) if label))


def _writing(service: Service) -> Service:
    """Return a service that may change its index; raise `ApiError` (403) where it may not."""
    if not service.options.allow_write:
        raise ApiError(
            403, "this service does not change its index", "start it with --allow-write and a token", code="read_only"
        )
    return service


def _add(service: Service, data: bytes, outputs: npt.NDArray[np.float32], about: dict[str, Any]) -> int:
    """Keep the file, then add the item; return its id. Where no item is added, no file stays.

    Nobody else writes meanwhile: another service before this index would remove a file that no item has yet.
    """
    folder = _folder(service)
    digest = content_digest(data)
    kind = image_format(data)
    file = folder / f"{digest}.{SUFFIXES.get(kind, kind.lower())}"
    facts = {**about, "path": f"{folder.name}/{file.name}", "digest": digest, ADDED: int(time.time())}
    with service.collection.use() as index, index.writing():
        is_new = not file.exists()
        if is_new:
            write_whole(file, lambda aside: _write(aside, data))
        kept = outputs[None] if index.outputs is not None else None
        try:
            ids = index.add(binarize(outputs[None]), metadata=[facts], outputs=kept)
        except Exception:
            with suppress(NearbitError):  # an index that answers no more may have added the item
                if is_new and not len(index.matching({"path": facts["path"]})):
                    file.unlink(missing_ok=True)
            raise
    service.collection.fresh()
    return int(ids[0])


def _remove(service: Service, item_id: int) -> None:
    """Remove an item, and its uploaded file with the last item that has it, before anybody else can add one."""
    with service.collection.use() as index, index.writing():
        item = items_of(index, [item_id])[0]
        index.remove([item_id])
        if not len(index.matching({"digest": item.digest})):
            service.thumbnails.forget(item)
        file = service.collection.pictures.file_of(item)
        if (
            file is not None
            and file.parent == _folder(service).resolve()
            and not len(index.matching({"path": item.path}))
        ):
            file.unlink(missing_ok=True)
    service.collection.fresh()


def _folder(service: Service) -> Path:
    """Return the folder of uploaded files, beside the index."""
    index = service.own.absolute()
    return index.with_name(f"{index.name}{UPLOADS}")


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


OPERATIONS = (add_item, remove_item)
