"""Search: from an item, from codes, from an image."""

import time

from starlette.requests import Request
from starlette.responses import Response

from nearbit.codes import binarize
from nearbit.service.http.errors import ApiError
from nearbit.service.http.query_params import by_name, checked_search, parse_item_id, parse_json_object, parse_search
from nearbit.service.http.uploads import decoded, upload_of
from nearbit.service.search import Seconds
from nearbit.service.service import Service

JSON = "application/json"


async def neighbors(request: Request) -> Response:
    """Search from an item of the index, which is its own nearest neighbor; needs no model."""
    service: Service = request.app.state.service
    item_id = parse_item_id(request.path_params["item_id"])
    asked = parse_search(request.query_params.multi_items(), service.options.limits)
    body, spent = await service.searching(service.searcher.by_item, item_id, asked)
    return _answer(request, service, body, spent)


async def search_many(request: Request) -> Response:
    """Search from several items or codes at once."""
    service: Service = request.app.state.service
    by_name(request.query_params.multi_items(), ())
    limits = service.options.limits
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        raise ApiError(415, f"expected {JSON}, came {kind[:60] or 'nothing'}", "send a JSON object")
    asked = parse_json_object(await request.body(), "the body")
    unknown = sorted(set(asked) - {"queries", "k", "radius", "labels", "metadata"})
    if unknown:
        raise ApiError(422, f"no field {unknown[0][:60]!r} here", "known: queries, k, radius, labels, metadata")
    queries = asked.get("queries")
    is_list = isinstance(queries, list) and all(isinstance(one, dict) for one in queries)
    if not is_list or not 1 <= len(queries or []) <= limits.queries:
        raise ApiError(422, f"queries must be a list of 1 to {limits.queries} objects", 'such as [{"id": 7}]')
    wanted = checked_search(
        asked.get("k"), asked.get("radius"), asked.get("labels", []), asked.get("metadata", {}), limits
    )
    if len(queries or []) * wanted.k > limits.results:
        most = max(1, limits.results // len(queries or [0]))
        raise ApiError(
            422,
            f"{len(queries or [])} queries of up to {wanted.k} results are more than {limits.results} results in all",
            f"ask for k of at most {most}, or for fewer queries",
        )
    body, spent = await service.searching(service.searcher.by_queries, queries or [], wanted)
    return _answer(request, service, body, spent)


async def search_image(request: Request) -> Response:
    """Search from an uploaded image, which is kept nowhere."""
    service: Service = request.app.state.service
    by_name(request.query_params.multi_items(), ())
    model = await service.encoding.model()
    upload = await upload_of(request, service.options.limits)
    asked = parse_search(upload.fields, service.options.limits)
    began = time.perf_counter()
    image = await service.decoding(decoded, upload.data, model.preprocessing.resize, service.options.limits)
    halfway = time.perf_counter()
    await service.searching(service.check_model, model)
    outputs = await service.encoding.outputs(image)
    spent = Seconds(decode=halfway - began, encode=time.perf_counter() - halfway)
    code = binarize(outputs[None])[0]
    body, spent = await service.searching(service.searcher.by_outputs, outputs, code, asked, spent)
    return _answer(request, service, body, spent)


def _answer(request: Request, service: Service, body: bytes, spent: Seconds) -> Response:
    service.count(spent)
    total = time.perf_counter() - request.scope["began"]
    steps = (("decode", spent.decode), ("encode", spent.encode), ("search", spent.search), ("total", total))
    timing = ", ".join(f"{name};dur={1000 * seconds:.3f}" for name, seconds in steps)
    headers = {"Server-Timing": timing, "Cache-Control": "no-store"}
    return Response(body, media_type=JSON, headers=headers)
