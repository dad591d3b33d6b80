"""Items: what they are, their pictures, lists of them, and their labels."""

import os
from pathlib import Path

import numpy as np
from starlette.responses import FileResponse, Response

from nearbit.datasets import image_format
from nearbit.errors import ImageError
from nearbit.index import Item
from nearbit.service.collection import items_of, shown_path, version_of
from nearbit.service.contract.answers import (
    ItemAnswer,
    JsonAnswer,
    LabelsAnswer,
    OtherAnswer,
    PageAnswer,
    SampleAnswer,
)
from nearbit.service.contract.declared import Declared, Nothing, field
from nearbit.service.contract.kinds import LAST_ID, PathId, Text, Whole
from nearbit.service.contract.operation import Call, get
from nearbit.service.http.conditional import has_already
from nearbit.service.http.errors import ApiError
from nearbit.service.http.json_answers import exact, ready_json
from nearbit.service.service import Service

CONTENT_TYPES = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "PPM": "image/x-portable-anymap",
    "WEBP": "image/webp",
    "TIFF": "image/tiff",
    "AVIF": "image/avif",
    "JPEG2000": "image/jp2",
    "HEIF": "image/heic",
}
FOR_A_YEAR = "private, max-age=31536000, immutable"
ASK_AGAIN = "private, no-cache"
INERT = {"Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'"}
"""Of what is a picture and nothing else: were it ever taken for a page, nothing in it would run."""


class OfItem(Declared):
    """A request about one item."""

    item_id: int = field(PathId(), "The number of an item.", is_path=True)


class Version(OfItem):
    """A request for the picture of an item."""

    v: str | None = field(Text(), "The version that a link names; the answer may then be kept for good.", default=None)


class Paging(Declared):
    """A page of a listing."""

    after: int = field(Whole(0, LAST_ID), "Items with a higher id than this; leave it out for the first.", default=-1)
    limit: int = field(
        Whole(1, lambda limits: limits.page), "How many.", default=lambda limits, given: limits.default_page
    )


class Sampling(Declared):
    """A random draw."""

    n: int = field(
        Whole(1, lambda limits: limits.page), "How many.", default=lambda limits, given: limits.default_sample
    )
    seed: int | None = field(
        Whole(0, 2**32 - 1), "Draws the same items again; leave it out for others each time.", default=None
    )


NO_PICTURE = {404: "no_picture", 422: "invalid"}
PICTURE = {
    200: OtherAnswer("The picture, up to 256 pixels.", "image/jpeg", "image/png"),
    304: OtherAnswer("As you have it."),
}


@get("/api/v1/items", Paging, {200: JsonAnswer(PageAnswer)}, {422: "invalid"})
async def items(call: Call[Paging, None]) -> Response:
    """Return items by id, page by page."""
    return _json(await call.service.searching(_page, call.service, call.asked.after, call.asked.limit))


@get("/api/v1/items/sample", Sampling, {200: JsonAnswer(SampleAnswer)}, {422: "invalid"})
async def sample(call: Call[Sampling, None]) -> Response:
    """Return some items, drawn at random; the same seed draws the same ones while the index stays the same."""
    service, asked = call.service, call.asked
    return _json(await service.searching(service.collection.settled, lambda: _sample(service, asked.n, asked.seed)))


@get("/api/v1/items/{item_id}", OfItem, {200: JsonAnswer(ItemAnswer)}, {404: "not_found", 422: "invalid"})
async def item(call: Call[OfItem, None]) -> Response:
    """Return one item."""
    rendered = await call.service.searching(call.service.collection.rendered, [call.asked.item_id])
    return _json(b"{" + rendered[0].json)


@get("/api/v1/items/{item_id}/thumbnail", Version, PICTURE, NO_PICTURE)
async def thumbnail(call: Call[Version, None]) -> Response:
    """Return a small picture of an item; a link that names its version may be kept for good."""
    service, item_id = call.service, call.asked.item_id
    found, key = await service.searching(_shown, service, item_id)
    tag, is_this_version = f'"{key}"', call.asked.v is not None and call.asked.v == version_of(found)
    headers = {"ETag": tag, "Cache-Control": FOR_A_YEAR if is_this_version else ASK_AGAIN, **INERT}
    if has_already(call.request.headers, tag):
        return Response(status_code=304, headers=headers)
    try:
        small = await service.picturing(service.thumbnails.get, found)
    except ImageError as error:
        raise _no_picture(item_id, str(error)) from error
    return Response(small.data, media_type=small.content_type, headers=headers)


@get("/api/v1/items/{item_id}/original", OfItem, {200: OtherAnswer("The file.", "image/*")}, NO_PICTURE)
async def original(call: Call[OfItem, None]) -> Response:
    """Return the file of an item as a download."""
    service, item_id = call.service, call.asked.item_id
    file, name, kind = await service.searching(_original, service, item_id)
    headers = {"Cache-Control": ASK_AGAIN, **INERT}
    answer = FileResponse(file, media_type=kind, filename=name, headers=headers, stat_result=await _stat(service, file))
    if has_already(call.request.headers, answer.headers["etag"]):
        return Response(status_code=304, headers={"ETag": answer.headers["etag"], **headers})
    return answer


@get("/api/v1/labels", Nothing, {200: JsonAnswer(LabelsAnswer)}, {422: "invalid"})
async def labels(call: Call[Nothing, None]) -> Response:
    """Return how many items have each label, the most frequent first."""
    service = call.service
    return _json(await service.searching(service.collection.once, "label_list", lambda _: _labels(service)))


def _labels(service: Service) -> bytes:
    rows = sorted(service.collection.labels().items(), key=lambda row: (-row[1], row[0]))
    answer: LabelsAnswer = {"labels": [{"label": label, "items": n} for label, n in rows]}
    return ready_json(answer)


def _item(service: Service, item_id: int) -> Item:
    with service.collection.use() as index:
        return items_of(index, [item_id])[0]


def _shown(service: Service, item_id: int) -> tuple[Item, str]:
    """Return an item and the name of its picture's content, after looking that it may be shown."""
    found = _item(service, item_id)
    if not service.collection.pictures.may_show(found):
        raise _no_picture(item_id, "no picture of it lies in the folders that may be shown")
    return found, service.thumbnails.key_of(found)


def _no_picture(item_id: int, reason: str) -> ApiError:
    words = f"item {item_id} has no picture to show: {reason}"
    return ApiError(404, words, "see --images of nearbit serve", code="no_picture")


def _original(service: Service, item_id: int) -> tuple[Path, str, str]:
    """Return the file of an item, its name and its content type, after looking that it is an image."""
    found = _item(service, item_id)
    file = service.collection.pictures.file_of(found)
    try:
        kind = CONTENT_TYPES.get(image_format(file)) if file is not None else None
    except ImageError:
        kind = None
    if file is None or kind is None:
        raise ApiError(404, f"item {item_id} has no file to download", "see has_original of an item", code="no_picture")
    return file, (shown_path(found.path) or "").rpartition("/")[2], kind


async def _stat(service: Service, file: Path) -> os.stat_result:
    try:
        return await service.searching(file.stat)
    except OSError as error:  # it has just gone
        raise ApiError(404, "the file has just gone", "see has_original of an item", code="no_picture") from error


def _page(service: Service, after: int, limit: int) -> bytes:
    with service.collection.use() as index:
        found = index.items_after(after, limit + 1)
        is_last, found = len(found) <= limit, found[:limit]
        items = service.collection.render(found)
    following = None if is_last else found[-1].id
    next_id, text = (None, None) if following is None else (exact(following), str(following))
    last = ready_json({"next_after": next_id, "next_after_text": text})
    return b'{"items":' + items + b"," + last[1:]


def _sample(service: Service, n: int, seed: int | None) -> bytes:
    ids = service.collection.ids()
    chosen = np.random.default_rng(seed).choice(ids, min(n, len(ids)), replace=False) if len(ids) else ids
    rendered = service.collection.rendered(chosen.tolist()) if len(chosen) else []
    return b'{"items":[' + b",".join(b"{" + one.json for one in rendered) + b"]}"


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


OPERATIONS = (thumbnail, sample, item, items, original, labels)
