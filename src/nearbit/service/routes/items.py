"""Items: what they are, their pictures, lists of them, and their labels."""

import os
from pathlib import Path

import numpy as np
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from nearbit.datasets import image_format
from nearbit.errors import ImageError
from nearbit.index import Item
from nearbit.service.collection import items_of, shown_path, version_of
from nearbit.service.http.conditional import has_already
from nearbit.service.http.errors import ApiError, ready_json
from nearbit.service.http.numbers import exact
from nearbit.service.http.query_params import LAST_ID, by_name, parse_bounded, parse_item_id
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


async def item(request: Request) -> Response:
    """Return one item."""
    service: Service = request.app.state.service
    by_name(request.query_params.multi_items(), ())
    item_id = parse_item_id(request.path_params["item_id"])
    rendered = await service.searching(service.collection.rendered, [item_id])
    return _json(b"{" + rendered[0].json)


async def thumbnail(request: Request) -> Response:
    """Return a small picture of an item; a link that names its version may be kept for good."""
    service: Service = request.app.state.service
    values = by_name(request.query_params.multi_items(), ("v",))
    item_id = parse_item_id(request.path_params["item_id"])
    found, key = await service.searching(_shown, service, item_id)
    tag, is_this_version = f'"{key}"', values.get("v") == [version_of(found)]
    headers = {"ETag": tag, "Cache-Control": FOR_A_YEAR if is_this_version else ASK_AGAIN, **INERT}
    if has_already(request.headers, tag):
        return Response(status_code=304, headers=headers)
    try:
        small = await service.picturing(service.thumbnails.get, found)
    except ImageError as error:
        raise _no_picture(item_id, str(error)) from error
    return Response(small.data, media_type=small.content_type, headers=headers)


async def original(request: Request) -> Response:
    """Return the file of an item as a download."""
    service: Service = request.app.state.service
    by_name(request.query_params.multi_items(), ())
    item_id = parse_item_id(request.path_params["item_id"])
    file, name, kind = await service.searching(_original, service, item_id)
    headers = {"Cache-Control": ASK_AGAIN, **INERT}
    answer = FileResponse(file, media_type=kind, filename=name, headers=headers, stat_result=await _stat(service, file))
    if has_already(request.headers, answer.headers["etag"]):
        return Response(status_code=304, headers={"ETag": answer.headers["etag"], **headers})
    return answer


async def items(request: Request) -> Response:
    """Return items by id, page by page."""
    service: Service = request.app.state.service
    values = by_name(request.query_params.multi_items(), ("after", "limit"))
    limit = parse_bounded(values, "limit", service.options.limits.default_page, 1, service.options.limits.page)
    after = parse_bounded(values, "after", 0, 0, LAST_ID) if "after" in values else -1
    return _json(await service.searching(_page, service, after, limit))


async def sample(request: Request) -> Response:
    """Return some items, drawn at random; the same seed draws the same ones while the index stays the same."""
    service: Service = request.app.state.service
    values = by_name(request.query_params.multi_items(), ("n", "seed"))
    n = parse_bounded(values, "n", service.options.limits.default_sample, 1, service.options.limits.page)
    seed = parse_bounded(values, "seed", 0, 0, 2**32 - 1) if "seed" in values else None
    return _json(await service.searching(_sample, service, n, seed))


async def labels(request: Request) -> Response:
    """Return how many items have each label, the most frequent first."""
    service: Service = request.app.state.service
    by_name(request.query_params.multi_items(), ())
    return _json(await service.searching(service.collection.once, "label_list", lambda _: _labels(service)))


def _labels(service: Service) -> bytes:
    rows = sorted(service.collection.labels().items(), key=lambda row: (-row[1], row[0]))
    return ready_json({"labels": [{"label": label, "items": n} for label, n in rows]})


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
        found = index.items_after(after, limit)
    following = found[-1].id if len(found) == limit else None
    text = None if following is None else str(following)
    last = ready_json({"next_after": exact(following), "next_after_text": text})
    return b'{"items":' + service.collection.render(found) + b"," + last[1:]


def _sample(service: Service, n: int, seed: int | None) -> bytes:
    ids = service.collection.ids()
    chosen = np.random.default_rng(seed).choice(ids, min(n, len(ids)), replace=False) if len(ids) else ids
    rendered = service.collection.rendered(chosen.tolist()) if len(chosen) else []
    return b'{"items":[' + b",".join(b"{" + one.json for one in rendered) + b"]}"


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})
