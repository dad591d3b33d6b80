"""The contract of the API, as OpenAPI describes it: parameters, bodies and answers, with examples.

The handlers check what comes themselves (see `asked`) and send JSON that is ready; here it is only described. That both
agree is what the tests of the contract check.
"""

from collections.abc import Callable
from typing import Any

from nearbit.service.contract.answers import (
    ABOUT,
    CARD,
    CENTERS,
    HEALTH,
    ITEM,
    LABELS,
    PAGE,
    REFUSAL,
    SAMPLE,
    SEARCH,
    example_error,
)
from nearbit.service.http.body_limits import megabytes
from nearbit.service.http.query_params import LAST_ID, MOST_RADIUS
from nearbit.service.settings import Limits

DESCRIPTION = (
    "Search in an index of images by learned binary codes. Distances are in bits; results are ranked by distance, then "
    "by id. Every refusal has the form of `Error`. Where the service has a token, every request for data carries "
    "`Authorization: Bearer TOKEN`."
)

JSON = "application/json"
ALWAYS = {400: "unknown_host", 401: "token_needed", 403: "forbidden", 431: "head_too_large", 503: "busy"}
"""What any request may be refused with, by status: an example of the code."""

Schema = dict[str, Any]


def _whole(smallest: int, largest: int, **more: Any) -> Schema:
    return {"type": "integer", "minimum": smallest, "maximum": largest, **more}


def _parameter(name: str, schema: Schema, words: str, **more: Any) -> Schema:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": words, **more}


ID = {
    "name": "item_id",
    "in": "path",
    "required": True,
    "schema": _whole(0, LAST_ID),
    "description": "The number of an item.",
    "example": 1,
}
RADIUS = _whole(0, MOST_RADIUS)
RADIUS_WORDS = "The largest distance, in bits."
LABEL_WORDS = "Only items with this label; repeat it for any of several."
VERSION = [_parameter("v", {"type": "string"}, "The version that a link names; the answer may then be kept for good.")]
LABEL_FIELD: Schema = {"type": "array", "items": {"type": "string"}, "description": LABEL_WORDS}
GIVEN_ID: Schema = {"oneOf": [_whole(0, LAST_ID), {"type": "string", "pattern": "^[0-9]{1,19}$"}]}


def _k(limits: Limits) -> Schema:
    return _whole(1, limits.k, default=limits.default_k)


def _k_words(limits: Limits) -> str:
    return f"The most results of a query; with a radius alone, up to {limits.k}."


def _metadata_words(limits: Limits) -> str:
    return (
        "Only items whose metadata hold these values: a JSON object of at most "
        f'{limits.conditions} keys, such as {{"camera": 3}}.'
    )


def _searches(limits: Limits) -> list[Schema]:
    labels = {"type": "array", "items": {"type": "string"}}
    return [
        _parameter("k", _k(limits), _k_words(limits)),
        _parameter("radius", RADIUS, RADIUS_WORDS),
        _parameter("label", labels, LABEL_WORDS, style="form", explode=True),
        _parameter("metadata", {"type": "string"}, _metadata_words(limits)),
    ]


def _pages(limits: Limits) -> list[Schema]:
    return [
        _parameter("after", _whole(0, LAST_ID), "Items with a higher id than this; leave it out for the first."),
        _parameter("limit", _whole(1, limits.page, default=limits.default_page), "How many."),
    ]


def _samples(limits: Limits) -> list[Schema]:
    return [
        _parameter("n", _whole(1, limits.page, default=limits.default_sample), "How many."),
        _parameter("seed", _whole(0, 2**32 - 1), "Draws the same items again; leave it out for others each time."),
    ]


def _form(limits: Limits, properties: Schema) -> Schema:
    words = (
        f"JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF, to {megabytes(limits.image_bytes)} and "
        f"{limits.pixels / 1e6:.3g} million pixels."
    )
    image = {"type": "string", "format": "binary", "description": words}
    return {
        "type": "object",
        "required": ["image"],
        "additionalProperties": False,
        "properties": {"image": image, **properties},
    }


def _search_form(limits: Limits) -> Schema:
    return _form(
        limits,
        {
            "k": {**_k(limits), "description": _k_words(limits)},
            "radius": {**RADIUS, "description": RADIUS_WORDS},
            "label": LABEL_FIELD,
            "metadata": {"type": "string", "description": _metadata_words(limits)},
        },
    )


def _add_form(limits: Limits) -> Schema:
    return _form(
        limits,
        {
            "label": {**LABEL_FIELD, "description": "A label of the item; repeatable. Trimmed; empty ones are none."},
            "metadata": {"type": "string", "description": "A JSON object that is kept with the item."},
        },
    )


def _search_body(limits: Limits) -> Schema:
    by_id = {"type": "object", "required": ["id"], "additionalProperties": False, "properties": {"id": GIVEN_ID}}
    code = {"code": {"type": "string", "pattern": "^[0-9a-fA-F]+$"}}
    by_code = {"type": "object", "required": ["code"], "additionalProperties": False, "properties": code}
    words = f"Up to {limits.results} results in all: k times the number of queries is no more."
    items: Schema = {"oneOf": [by_id, by_code]}
    return {
        "type": "object",
        "required": ["queries"],
        "additionalProperties": False,
        "properties": {
            "queries": {
                "type": "array", "minItems": 1, "maxItems": limits.queries, "items": items, "description": words,
            },
            "k": {**_k(limits), "type": ["integer", "null"]},
            "radius": {**RADIUS, "type": ["integer", "null"]},
            "labels": {"type": "array", "items": {"type": "string"}},
            "metadata": {"type": "object", "maxProperties": limits.conditions},
        },
        "example": {
            "queries": [{"id": 7}, {"code": "4f2aa6252b59f2f3"}], "k": min(5, limits.k), "labels": ["wren"],
        },
    }  # fmt: skip


# Of each route: parameters, body (content type, schema), good answers, refusals beside those of every request.
Described = tuple[list[Schema], tuple[str, Schema] | None, dict[int, Schema], dict[int, str]]


def _json(schema: Schema) -> Schema:
    return {"description": "Done.", "content": {JSON: {"schema": schema}}}


def _other(words: str, *kinds: str) -> Schema:
    content = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in kinds}
    return {"description": words, "content": content} if kinds else {"description": words}


UPLOAD = {408: "too_slow", 409: "no_model", 413: "too_large", 415: "wrong_content_type", 422: "not_an_image"}


def by_name(limits: Limits) -> dict[str, Described]:
    """Return what is said of each route, by the name of its handler, with the limits in force."""
    return {
        "search_image": ([], ("multipart/form-data", _search_form(limits)), {200: _json(SEARCH)}, UPLOAD),
        "search_many": (
            [],
            (JSON, _search_body(limits)),
            {200: _json(SEARCH)},
            {404: "not_found", 408: "too_slow", 413: "too_large", 415: "wrong_content_type", 422: "invalid"},
        ),
        "neighbors": ([ID, *_searches(limits)], None, {200: _json(SEARCH)}, {404: "not_found", 422: "invalid"}),
        "items": (_pages(limits), None, {200: _json(PAGE)}, {422: "invalid"}),
        "sample": (_samples(limits), None, {200: _json(SAMPLE)}, {422: "invalid"}),
        "item": ([ID], None, {200: _json(ITEM)}, {404: "not_found", 422: "invalid"}),
        "thumbnail": (
            [ID, *VERSION],
            None,
            {200: _other("The picture, up to 256 pixels.", "image/jpeg", "image/png"), 304: _other("As you have it.")},
            {404: "no_picture", 422: "invalid"},
        ),
        "original": (
            [ID],
            None,
            {200: _other("The file.", "image/*")},
            {404: "no_picture", 422: "invalid"},
        ),
        "add_item": ([], ("multipart/form-data", _add_form(limits)), {201: _json(ITEM)}, UPLOAD),
        "remove_item": ([ID], None, {204: _other("Removed.")}, {404: "not_found", 422: "invalid"}),
        "labels": ([], None, {200: _json(LABELS)}, {422: "invalid"}),
        "about_index": ([], None, {200: _json(ABOUT)}, {422: "invalid"}),
        "health": ([], None, {200: _json(HEALTH)}, {409: "empty_index", 422: "invalid"}),
        "centers": ([], None, {200: _json(CENTERS)}, {404: "no_model", 409: "model_unavailable", 422: "invalid"}),
        "model": ([], None, {200: _json(CARD)}, {404: "no_model", 409: "model_unavailable", 422: "invalid"}),
        "livez": ([], None, {200: _other("The process runs.", "text/plain")}, {}),
        "readyz": ([], None, {200: _other("Index and model are loaded.", "text/plain")}, {}),
        "metrics": ([], None, {200: _other("Numbers for Prometheus.", "text/plain")}, {422: "invalid"}),
    }


def operation(handler: Callable[..., Any], limits: Limits) -> dict[str, Any]:
    """Return how FastAPI describes the route of a handler."""
    name = getattr(handler, "__name__", "")
    parameters, body, answers, refusals = by_name(limits)[name]
    errors = {status: _refusal(code) for status, code in sorted({**ALWAYS, **refusals}.items())}
    if name == "readyz":
        errors[503] = _other("They are being loaded, or the service is busy.", "text/plain", JSON)
    extra: Schema = {"parameters": parameters} if parameters else {}
    if body is not None:
        extra["requestBody"] = {"required": True, "content": {body[0]: {"schema": body[1]}}}
    return {
        "summary": (handler.__doc__ or "").partition("\n")[0],
        "operation_id": name,
        "responses": {**answers, **errors},
        "openapi_extra": extra,
        "status_code": min(answers),
    }


def _refusal(code: str) -> Schema:
    return {"description": "Refused.", "content": {JSON: {"schema": REFUSAL, "example": example_error(code)}}}
