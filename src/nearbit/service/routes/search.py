"""Search: from an item, from codes, from an image, from words."""

import time
from collections.abc import Mapping
from typing import Any, get_args

from starlette.responses import Response

from nearbit.codes import binarize
from nearbit.encoding.preprocessing import of_pixels
from nearbit.service.contract.answers import JSON, JsonAnswer, Ranking, SearchAnswer
from nearbit.service.contract.declared import Nothing, OneOf, field
from nearbit.service.contract.kinds import Choice, PathId, Text
from nearbit.service.contract.operation import Call, JsonBody, Upload, UploadForm, get, post
from nearbit.service.http.errors import ApiError
from nearbit.service.http.uploads import decoded
from nearbit.service.search import QueryByCode, QueryById, SearchParams, Seconds
from nearbit.service.settings import Limits

FOUND = {200: JsonAnswer(SearchAnswer)}
UPLOAD = {408: "too_slow", 409: "no_model", 413: "too_large", 415: "wrong_content_type", 422: "not_an_image"}
"""What an upload may be refused with."""


class NeighborsOf(SearchParams):
    """A search from an item."""

    item_id: int = field(PathId(), "The number of an item.", is_path=True)


class SearchText(SearchParams):
    """A search by words."""

    text: str = field(
        Text(r"^[\s\S]{1,500}$", "1 to 500 characters", "say what to look for"),
        "What to look for, such as: a red bird on snow.",
    )
    ranking: Ranking = field(
        Choice(*get_args(Ranking)),
        "By |output| of the words summed over the bits that differ, or by these bits alone, by which less is found.",
        default="asymmetric",
    )


class SearchBody(SearchParams):
    """A search from several items and codes."""

    queries: tuple[QueryById | QueryByCode, ...] = field(
        OneOf(
            QueryById,
            QueryByCode,
            most=lambda limits: limits.queries,
            one='a query must be {"id": NUMBER OR TEXT} or {"code": HEX}',
            example='[{"id": 7}]',
        ),
        lambda limits: f"Up to {limits.results} results in all: k times the number of queries is no more.",
    )

    def check(self, limits: Limits) -> None:
        """Refuse more results in all than the limits allow."""
        if len(self.queries) * self.k <= limits.results:
            return
        raise ApiError(
            422,
            f"{len(self.queries)} queries of up to {self.k} results are more than {limits.results} results in all",
            f"ask for k of at most {max(1, limits.results // len(self.queries))}, or for fewer queries",
        )

    @classmethod
    def example(cls, limits: Limits) -> Mapping[str, Any]:
        """Return an example."""
        return {"queries": [{"id": 7}, {"code": "4f2aa6252b59f2f3"}], "k": min(5, limits.k), "labels": ["wren"]}


@get("/api/v1/items/{item_id}/neighbors", NeighborsOf, FOUND, {404: "not_found", 422: "invalid"})
async def neighbors(call: Call[NeighborsOf, None]) -> Response:
    """Search from an item of the index, which is at distance 0 itself (ties go by id); needs no model."""
    service = call.service
    body, spent = await service.searching(service.searcher.by_item, call.asked.item_id, call.asked)
    return _answer(call, body, spent)


@post(
    "/api/v1/search",
    JsonBody(SearchBody),
    FOUND,
    {404: "not_found", 408: "too_slow", 413: "too_large", 415: "wrong_content_type", 422: "invalid"},
)
async def search_many(call: Call[Nothing, SearchBody]) -> Response:
    """Search from several items or codes at once."""
    asked = await call.body()
    body, spent = await call.service.searching(call.service.searcher.by_queries, asked.queries, asked)
    return _answer(call, body, spent)


@post("/api/v1/search/image", UploadForm(SearchParams), FOUND, UPLOAD)
async def search_image(call: Call[Nothing, Upload[SearchParams]]) -> Response:
    """Search from an uploaded image, which is kept nowhere."""
    service, asked = call.service, time.perf_counter()
    model = await service.encoding.model()
    loaded = time.perf_counter()
    upload = await call.body()
    began = time.perf_counter()
    image = await service.decoding(
        decoded, upload.data, of_pixels(model.preprocessing, "an image").resize, service.options.limits
    )
    halfway = time.perf_counter()
    await service.searching(service.check_model, model)
    outputs = await service.encoding.outputs(image)
    spent = Seconds(
        model=loaded - asked, upload=began - loaded, decode=halfway - began, encode=time.perf_counter() - halfway
    )
    code = binarize(outputs[None])[0]
    search = service.searcher.by_outputs
    body, spent = await service.searching(service.of_model, model, search, outputs, code, upload.said, spent)
    return _answer(call, body, spent)


@get("/api/v1/search/text", SearchText, FOUND, {409: "no_text", 422: "invalid"})
async def search_text(call: Call[SearchText, None]) -> Response:
    """Search by words, where the model of the index takes them (`takes_text` of the index)."""
    service, began = call.service, time.perf_counter()
    model, outputs = await service.searching(service.words.outputs, call.asked.text)
    spent = Seconds(encode=time.perf_counter() - began)
    code, search = binarize(outputs[None])[0], service.searcher.by_outputs
    body, spent = await service.searching(service.of_model, model, search, outputs, code, call.asked, spent)
    return _answer(call, body, spent)


def _answer(call: Call[Any, Any], body: bytes, spent: Seconds) -> Response:
    call.service.count(spent)
    total = time.perf_counter() - call.request.scope["began"]
    steps = vars(spent) | {"other": max(0.0, total - sum(vars(spent).values())), "total": total}
    timing = ", ".join(f"{name};dur={1000 * seconds:.3f}" for name, seconds in steps.items())
    headers = {"Server-Timing": timing, "Cache-Control": "no-store"}
    return Response(body, media_type=JSON, headers=headers)


OPERATIONS = (search_many, neighbors, search_image, search_text)
