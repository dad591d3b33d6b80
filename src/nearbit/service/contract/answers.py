"""The answers of the API, as JSON Schema."""

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer", "minimum": 0}
TEXTS: Schema = {"type": "array", "items": TEXT}
ANY_OBJECT: Schema = {"type": "object"}


def _or_null(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _object(properties: Schema, *, optional: tuple[str, ...] = (), is_open: bool = False, **more: Any) -> Schema:
    required = [name for name in properties if name not in optional]
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": is_open,
        **more,
    }


def _list(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


ID: Schema = {
    "type": ["integer", "string"],
    "minimum": 0,
    "pattern": "^[0-9]{16,19}$",
    "description": "A number up to 2^53 - 1, which JSON holds exactly everywhere; beyond it the same digits as text.",
}
ID_TEXT: Schema = {"type": "string", "pattern": "^[0-9]{1,19}$", "description": "The id as text, whatever it is."}
CODE: Schema = {
    "type": "string",
    "pattern": "^([0-9a-f]{2})+$",
    "description": "Hexadecimal; the first bit is highest.",
}
ITEM_FIELDS: Schema = {
    "id": ID,
    "id_text": ID_TEXT,
    "code": CODE,
    "labels": TEXTS,
    "path": {**_or_null(TEXT), "description": "From the folder of the index; outside of it, the name alone."},
    "digest": {**_or_null(TEXT), "description": "SHA-256 of the picture; the same for exact duplicates."},
    "metadata": ANY_OBJECT,
    "thumbnail": {**_or_null(TEXT), "description": "Where a small picture is; null where there is none."},
    "has_original": {"type": "boolean", "description": "Whether the file can be downloaded."},
    "missing": {"type": "boolean", "description": "Whether the file is no longer where the index says."},
}
EXAMPLE_ITEM = {
    "id": 7,
    "id_text": "7",
    "code": "919c641d8d7240a3",
    "labels": ["wren"],
    "path": "photos/wren/0007.jpg",
    "digest": "ee13e98d78a7b0c1e9a2f4d6083b5c7de1f20a94b8c6d7e5f3a1029384756afe",
    "metadata": {"camera": 3},
    "thumbnail": "/api/v1/items/7/thumbnail?v=ee13e98d78a7",
    "has_original": True,
    "missing": False,
}
ITEM = _object(ITEM_FIELDS, example=EXAMPLE_ITEM)
NEIGHBOR = _object({"rank": {"type": "integer", "minimum": 1}, "distance": COUNT, **ITEM_FIELDS})
TIMES = _object({"decode": NUMBER, "encode": NUMBER, "search": NUMBER})
QUERY = _object({"id": ID, "id_text": ID_TEXT, "code": CODE}, optional=("id", "id_text"))
SEARCH = _object(
    {
        "n_bits": {"type": "integer", "minimum": 1},
        "k": {"type": "integer", "minimum": 1},
        "results": _list(_object({"query": QUERY, "neighbors": _list(NEIGHBOR)})),
        "timings_ms": TIMES,
    },
    example={
        "n_bits": 64,
        "k": 1,
        "results": [
            {
                "query": {"id": 7, "id_text": "7", "code": "919c641d8d7240a3"},
                "neighbors": [{"rank": 1, "distance": 0, **EXAMPLE_ITEM}],
            }
        ],
        "timings_ms": {"decode": 0.0, "encode": 0.0, "search": 0.412},
    },
)
PAGE = _object(
    {
        "items": _list(ITEM),
        "next_after": {**ID, "type": ["integer", "string", "null"]},
        "next_after_text": _or_null(ID_TEXT),
    },
    example={"items": [EXAMPLE_ITEM], "next_after": None, "next_after_text": None},
)
SAMPLE = _object({"items": _list(ITEM)}, example={"items": [EXAMPLE_ITEM]})
LABELS = _object(
    {"labels": _list(_object({"label": TEXT, "items": COUNT}))}, example={"labels": [{"label": "wren", "items": 120}]}
)
ABOUT = _object(
    {
        "name": TEXT,
        "items": COUNT,
        "distinct_codes": COUNT,
        "n_bits": {"type": "integer", "minimum": 1},
        "file_bytes": COUNT,
        "cache_bytes": _or_null(COUNT),
        "model_id": _or_null(TEXT),
        "outputs": _or_null(TEXT),
        "format_version": COUNT,
        "created": _or_null(TEXT),
        "revision": COUNT,
        "added_since_merge": COUNT,
        "removed_since_merge": COUNT,
        "search": ANY_OBJECT,
        "labels": COUNT,
        "has_model": {"type": "boolean"},
        "can_write": {"type": "boolean"},
        "limits": _object(dict.fromkeys(("image_bytes", "pixels", "k", "queries", "results", "page"), COUNT)),
    }
)
HEALTH = _object(
    {
        "n_items": COUNT,
        "n_bits": COUNT,
        "distinct_codes": COUNT,
        "share_in_largest_groups": NUMBER,
        "constant_bits": COUNT,
        "bit_imbalance": NUMBER,
        "bit_correlation": _or_null(NUMBER),
        "k": COUNT,
        "tie_at_k": _or_null(NUMBER),
        "center_margin": _or_null(COUNT),
        "center_spread": _or_null(NUMBER),
        "advice": TEXTS,
        "n_all": {**COUNT, "description": "Items of the index; n_items of them, evenly spaced, were measured."},
        "ones": {**_list(NUMBER), "description": "The share of ones of each bit."},
    }
)
CENTER = _object({"name": TEXT, "x": NUMBER, "y": NUMBER, "items": COUNT, "code": CODE})
CENTERS = _object(
    {
        "n_bits": COUNT,
        "centers": _list(CENTER),
        "distance_min": _or_null(COUNT),
        "distance_mean": _or_null(NUMBER),
        "explained": {**NUMBER, "description": "The share of the centers' spread that the plane shows."},
    }
)
CARD = _object({"name": TEXT, "model_id": TEXT, "n_bits": COUNT, "classes": TEXTS}, is_open=True)
REFUSAL = _object({"error": _object({"code": TEXT, "message": TEXT, "hint": TEXT})}, title="Error")

ERRORS = {
    "unknown_host": "this service is not known as 'evil.example'",
    "token_needed": "this service answers only to those who have its token",
    "forbidden": "pages of other sites may not use this service",
    "not_found": "the index holds no item 99999",
    "no_picture": "item 7 has no file to download",
    "no_model": "images cannot be encoded: no model is at hand that made these codes",
    "model_unavailable": "the model at birds.model cannot be read",
    "empty_index": "the index is empty",
    "too_slow": "the body of the request did not arrive within 20 s",
    "too_large": "too large (12 MB > 10 MB)",
    "wrong_content_type": "expected multipart/form-data, came text/plain",
    "invalid": "no parameter 'radus' here",
    "not_an_image": "not an image of a known format",
    "head_too_large": "the head of a request has at most 32768 bytes and 100 fields, not more",
    "busy": "64 requests are being worked on",
}


def example_error(code: str) -> Schema:
    """Return an example of a refusal."""
    return {"error": {"code": code, "message": ERRORS[code], "hint": "what to do about it"}}
