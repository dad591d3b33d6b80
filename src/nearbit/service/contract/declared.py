"""A class of typed fields declares what a request may say: from it follow reading, checking and the description.

    class Paging(Declared):
        after: int = field(Whole(0, LAST_ID), "Items with a higher id than this.", default=-1)
        limit: int = field(Whole(1, lambda limits: limits.page), "How many.", default=lambda limits, given: ...)

An unknown name is an error that suggests the near one; nothing that came is passed over.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeVar, dataclass_transform, final

from nearbit.errors import did_you_mean
from nearbit.service.contract.kinds import FromLimits, Kind, Schema, in_force, json_object
from nearbit.service.http.errors import ApiError
from nearbit.service.settings import Limits

Pairs = Iterable[tuple[str, str]]
Default = Callable[[Limits, Mapping[str, Any]], Any]
"""How the value of a field that did not come follows from the limits and from the fields that came."""

_KEY = "field"


@final
@dataclass(frozen=True, kw_only=True)
class Field:
    """What one field may be.

    Attributes:
        kind: of its value.
        words: what it means.
        default: its value where it did not come; None where it must come.
        called: its name in parameters and forms, where that is not the name of the attribute.
        may_be_null: whether JSON may say null for the default.
        is_shown: whether the description tells the default.
        is_path: whether it is a part of the path.
    """

    kind: Kind
    words: FromLimits[str]
    default: Default | None
    called: str
    may_be_null: bool
    is_shown: bool
    is_path: bool

    def described(self, schema: Schema, limits: Limits) -> Schema:
        """Return a schema of this field with the default in force."""
        shown = {"default": self.default(limits, {})} if self.is_shown and self.default is not None else {}
        return {**schema, **shown}


_MISSING: Any = object()


def field(
    kind: Kind,
    words: FromLimits[str],
    *,
    default: Any = _MISSING,
    called: str = "",
    may_be_null: bool = False,
    is_path: bool = False,
) -> Any:
    """Declare one field of a class of `Declared`.

    Args:
        kind: of its value.
        words: what it means, for people.
        default: its value where it did not come, or how that follows from the limits and the fields that came; a field
            without a default must come.
        called: its name in parameters and forms, if another one.
        may_be_null: whether JSON may say null for the default.
        is_path: whether it is a part of the path.
    """
    how = default if callable(default) else None if default is _MISSING else lambda limits, given: copy(default)
    about = Field(
        kind=kind,
        words=words,
        default=how,
        called=called,
        may_be_null=may_be_null,
        is_shown=callable(default) or isinstance(default, str),
        is_path=is_path,
    )
    return dataclasses.field(metadata={_KEY: about})


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
class Declared:
    """What a request may say; subclasses declare fields, and rules over several of them in `check`."""

    takes_any: ClassVar[bool] = False
    """Whether parameters that are not declared are passed over."""

    fields: ClassVar[Mapping[str, Field]] = {}
    """What each attribute may be."""
    text_names: ClassVar[Mapping[str, str]] = {}
    """The attribute of each name that a parameter or a field of a form may have."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        taken = sorted(vars(Declared).keys() & cls.__annotations__.keys() - {"takes_any"})
        if taken:
            raise TypeError(
                f"{cls.__name__} cannot have a field {taken[0]!r}: declare it by another name, with called="
            )
        dataclass(frozen=True, kw_only=True)(cls)
        found: Any = cls
        cls.fields = {one.name: one.metadata[_KEY] for one in dataclasses.fields(found)}
        cls.text_names = {about.called or name: name for name, about in cls.fields.items() if not about.is_path}

    @classmethod
    def example(cls, limits: Limits) -> Any:
        """Return an example for the description; None for none."""
        return None

    def check(self, limits: Limits) -> None:
        """Raise `ApiError` (422) where fields do not go together."""

    @classmethod
    def of_text(cls, pairs: Pairs, limits: Limits, path: Mapping[str, str] | None = None) -> Self:
        """Return what parameters or the fields of a form say.

        Raises:
            ApiError: an unknown name, a name that came twice, a missing one, or a value that is none (422).
        """
        fields, names = cls.fields, cls.text_names
        given: dict[str, Any] = {}
        for name, text in pairs:
            if name not in names and cls.takes_any:
                continue
            if name not in names:
                raise _unknown("parameter", name, list(names))
            own = names[name]
            kind = fields[own].kind
            if own in given and not kind.repeats:
                raise ApiError(422, f"the parameter {name} came more than once", "send it once")
            value = kind.read(text, name, limits)
            given[own] = (*given.get(own, ()), value) if kind.repeats else value
        for name, text in (path or {}).items():
            given[name] = fields[name].kind.read(text, name, limits)
        return _made(cls, given, limits)

    @classmethod
    def of_json(cls, asked: Mapping[str, Any], limits: Limits) -> Self:
        """Return what a JSON object says.

        Raises:
            ApiError: an unknown field, a missing one, or a value that is none (422).
        """
        fields = cls.fields
        given: dict[str, Any] = {}
        for name in asked:
            if name not in fields:
                raise _unknown("field", name, list(fields))
        for name, about in fields.items():
            if name not in asked and about.default is not None:
                continue
            value = asked.get(name)
            if value is not None or not about.may_be_null:
                given[name] = about.kind.check(value, name, limits)
        return _made(cls, given, limits)

    @classmethod
    def schema(cls, limits: Limits) -> Schema:
        """Return how OpenAPI describes it as JSON, with the limits in force."""
        properties = {}
        for name, about in cls.fields.items():
            schema = about.kind.schema(limits)
            found = about.described(_or_null(schema) if about.may_be_null else schema, limits)
            words = in_force(about.words, limits)
            properties[name] = {**found, "description": words} if words else found
        found = _object(properties, [name for name, about in cls.fields.items() if about.default is None])
        example = cls.example(limits)
        return found if example is None else {**found, "example": example}

    @classmethod
    def form_schema(cls, limits: Limits, more: Schema) -> Schema:
        """Return how OpenAPI describes it as a form, with more fields, which must come."""
        properties = {
            about.called or name: {
                **about.described(about.kind.text_schema(limits), limits),
                "description": in_force(about.words, limits),
            }
            for name, about in cls.fields.items()
        }
        needed = [about.called or name for name, about in cls.fields.items() if about.default is None]
        return _object({**more, **properties}, [*more, *needed])

    @classmethod
    def parameters(cls, limits: Limits) -> list[Schema]:
        """Return how OpenAPI describes it as parameters of a path and a query."""
        return [_parameter(name, about, limits) for name, about in cls.fields.items()]


@final
class Nothing(Declared):
    """A request that says nothing beside its path."""


Asked = TypeVar("Asked", bound=Declared)


def _made(cls: type[Asked], given: dict[str, Any], limits: Limits) -> Asked:
    values = dict(given)
    for name, about in cls.fields.items():
        if name in given:
            continue
        if about.default is None:
            raise ApiError(422, f"{about.called or name} is missing", "send it")
        values[name] = about.default(limits, given)
    made = cls(**values)
    made.check(limits)
    return made


def _unknown(what: str, name: str, known: Sequence[str]) -> ApiError:
    hint = did_you_mean(name, list(known)).strip()
    return ApiError(422, f"no {what} {name[:60]!r} here", hint or f"known: {', '.join(known) or 'none'}")


def _object(properties: Schema, required: Sequence[str]) -> Schema:
    needed = {"required": list(required)} if required else {}
    return {"type": "object", **needed, "additionalProperties": False, "properties": properties}


def _or_null(schema: Schema) -> Schema:
    if "type" in schema and "enum" not in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def _parameter(name: str, about: Field, limits: Limits) -> Schema:
    found: Schema = {
        "name": about.called or name,
        "in": "path" if about.is_path else "query",
        "required": about.default is None,
        "schema": about.described(about.kind.text_schema(limits), limits),
        "description": in_force(about.words, limits),
    }
    return found | ({"style": "form", "explode": True} if about.kind.repeats else {})


@final
class OneOf(Kind):
    """A list of 1 or more JSON objects, each of one of a few declared forms, told apart by their fields.

    Args:
        forms: of one object.
        most: how many may come.
        one: what one must be, for people: "a query must be …".
        example: of the whole list.
    """

    def __init__(self, *forms: type[Declared], most: FromLimits[int], one: str, example: str) -> None:
        self._forms, self._most, self._one, self._example = forms, most, one, example

    def read(self, text: str, name: str, limits: Limits) -> tuple[Declared, ...]:
        """Return the objects of a JSON text."""
        return self.check(json_object(f'{{"{name}": {text}}}', name)[name], name, limits)

    def check(self, value: Any, name: str, limits: Limits) -> tuple[Declared, ...]:
        """Return the objects."""
        most = in_force(self._most, limits)
        is_list = isinstance(value, list) and all(isinstance(one, dict) for one in value)
        if not is_list or not 1 <= len(value) <= most:
            raise ApiError(422, f"{name} must be a list of 1 to {most} objects", f"such as {self._example}")
        return tuple(self._form_of(one).of_json(one, limits) for one in value)

    def schema(self, limits: Limits) -> Schema:
        """Return the forms and the bound in force."""
        forms = [form.schema(limits) for form in self._forms]
        return {"type": "array", "minItems": 1, "maxItems": in_force(self._most, limits), "items": {"oneOf": forms}}

    def _form_of(self, value: Mapping[str, Any]) -> type[Declared]:
        for form in self._forms:
            if set(form.fields) == set(value):
                return form
        raise ApiError(422, self._one, "send one of both for each query")
