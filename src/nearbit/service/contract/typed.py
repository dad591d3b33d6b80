"""JSON Schema of typed dictionaries: what an answer is said to be is what the code that makes it is checked against."""

from dataclasses import asdict, dataclass
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Union,
    final,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

Schema = dict[str, Any]


@final
@dataclass(frozen=True, kw_only=True)
class More:
    """What a type alone does not say, in `Annotated[type, More(...)]`."""

    description: str | None = None
    pattern: str | None = None
    minimum: int | None = None

    def schema(self) -> Schema:
        """Return it as JSON Schema."""
        return {name: value for name, value in asdict(self).items() if value is not None}


_SIMPLE: dict[Any, Schema] = {
    Any: {},
    str: {"type": "string"},
    int: {"type": "integer", "minimum": 0},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    NoneType: {"type": "null"},
}
"""Of each type of a value; whole numbers of answers are counts."""


def schema_of(kind: Any) -> Schema:
    """Return the JSON Schema of a type: a simple one, a `Literal`, a list, a dictionary, a `TypedDict` or a union.

    `Annotated[X, More(...)]` adds to the schema of X.

    Raises:
        TypeError: of another type.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is NotRequired:
        return schema_of(arguments[0])
    if origin is Annotated:
        more: More = arguments[1]
        return schema_of(arguments[0]) | more.schema()
    if origin in (Union, UnionType):
        parts = [schema_of(one) for one in arguments]
        merged = {key: value for part in parts for key, value in part.items() if key != "type"}
        return {**merged, "type": [one for part in parts for one in _listed(part["type"])]}
    if origin is Literal:
        return {"type": "string", "enum": list(arguments)}
    if origin is list:
        return {"type": "array", "items": schema_of(arguments[0])}
    if origin is dict:
        return {"type": "object"}
    if is_typeddict(kind):
        return _object(kind)
    if kind in _SIMPLE:
        return dict(_SIMPLE[kind])
    raise TypeError(f"no JSON Schema is known of {kind!r}")


def _object(kind: Any) -> Schema:
    hints = get_type_hints(kind, include_extras=True)
    properties = {name: schema_of(hint) for name, hint in hints.items()}
    required = [name for name in hints if name in kind.__required_keys__]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _listed(kind: Any) -> list[str]:
    return kind if isinstance(kind, list) else [kind]
