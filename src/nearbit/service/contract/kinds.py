"""What one value of a request may be: how it is read from text and JSON, what is refused, how OpenAPI describes it.

A kind is the one place for its bounds. A bound may be a number, or follow from the limits of the service: what is
checked and what is described are both those in force.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar, final

from nearbit.errors import InputError
from nearbit.json_text import parse_json
from nearbit.service.http.errors import ApiError
from nearbit.service.settings import Limits

Schema = dict[str, Any]
Value = TypeVar("Value")
FromLimits: TypeAlias = Value | Callable[[Limits], Value]
"""A value, or how it follows from the limits."""

LAST_ID = 2**63 - 1
_NUMBER = re.compile(r"\d{1,19}")


def in_force(value: FromLimits[Value], limits: Limits) -> Value:
    """Return a value that may follow from the limits."""
    return value(limits) if callable(value) else value


class Kind(ABC):
    """What one value may be.

    Attributes:
        repeats: whether a parameter of this kind may come several times.
    """

    repeats = False

    @abstractmethod
    def read(self, text: str, name: str, limits: Limits) -> Any:
        """Return the value that one text of a parameter or of a field of a form stands for."""

    @abstractmethod
    def check(self, value: Any, name: str, limits: Limits) -> Any:
        """Return the value that was read from JSON; raise `ApiError` (422) where it is another kind."""

    @abstractmethod
    def schema(self, limits: Limits) -> Schema:
        """Return how OpenAPI describes it in JSON."""

    def text_schema(self, limits: Limits) -> Schema:
        """Return how OpenAPI describes it in a parameter or a form."""
        return self.schema(limits)


@final
class Whole(Kind):
    """A whole number from `smallest` to `largest`."""

    def __init__(self, smallest: int, largest: FromLimits[int]) -> None:
        self._smallest, self._largest = smallest, largest

    def read(self, text: str, name: str, limits: Limits) -> int:
        """Return a number written in decimal digits."""
        return self.check(number_of(text, name), name, limits)

    def check(self, value: Any, name: str, limits: Limits) -> int:
        """Return a number within bounds."""
        smallest, largest = self._smallest, in_force(self._largest, limits)
        if isinstance(value, bool) or not isinstance(value, int) or not smallest <= value <= largest:
            shown = value if isinstance(value, int) and abs(value) < 10**20 else type(value).__name__
            message = f"{name} must be a whole number from {smallest} to {largest}, not {shown}"
            raise ApiError(422, message, "correct it")
        return value

    def schema(self, limits: Limits) -> Schema:
        """Return the bounds in force."""
        return {"type": "integer", "minimum": self._smallest, "maximum": in_force(self._largest, limits)}


@final
class PathId(Kind):
    """The id of an item in a path: what no item can have is not found."""

    def read(self, text: str, name: str, limits: Limits) -> int:
        """Return the id; raise `ApiError` (404) where no item can have it."""
        if not text.isascii() or not _NUMBER.fullmatch(text) or int(text) > LAST_ID:
            raise ApiError(404, f"no item {text[:40]!r}", "list items with GET /api/v1/items")
        return int(text)

    def check(self, value: Any, name: str, limits: Limits) -> int:
        """Return the id, which may be text."""
        return self.read(str(value), name, limits)

    def schema(self, limits: Limits) -> Schema:
        """Return the numbers that ids may be."""
        return {**_ID.schema(limits), "example": 1}


@final
class GivenId(Kind):
    """The id of an item in JSON: a number, or the same digits as text, which no browser rounds."""

    def read(self, text: str, name: str, limits: Limits) -> int:
        """Return the id."""
        return _ID.read(text, name, limits)

    def check(self, value: Any, name: str, limits: Limits) -> int:
        """Return the id."""
        return _ID.read(value, name, limits) if isinstance(value, str) else _ID.check(value, name, limits)

    def schema(self, limits: Limits) -> Schema:
        """Return both forms."""
        return {"oneOf": [_ID.schema(limits), {"type": "string", "pattern": "^[0-9]{1,19}$"}]}


@final
class Text(Kind):
    """Any text, or one that a pattern describes.

    Args:
        pattern: of all such texts; None for any text.
        words: what such a text is, for people.
        hint: what to do about another one.
    """

    def __init__(self, pattern: str | None = None, words: str = "text", hint: str = "correct it") -> None:
        self._pattern = None if pattern is None else re.compile(pattern)
        self._words, self._hint = words, hint

    def read(self, text: str, name: str, limits: Limits) -> str:
        """Return the text."""
        return self.check(text, name, limits)

    def check(self, value: Any, name: str, limits: Limits) -> str:
        """Return the text."""
        if not isinstance(value, str) or not (self._pattern is None or self._pattern.fullmatch(value)):
            shown = repr(value[:40]) if isinstance(value, str) else type(value).__name__
            raise ApiError(422, f"{name} must be {self._words}, not {shown}", self._hint)
        return value

    def schema(self, limits: Limits) -> Schema:
        """Return the pattern."""
        return {"type": "string", **({} if self._pattern is None else {"pattern": self._pattern.pattern})}


@final
class Choice(Kind):
    """One of a few words."""

    def __init__(self, *words: str) -> None:
        self._words = words

    def read(self, text: str, name: str, limits: Limits) -> str:
        """Return the word."""
        return self.check(text, name, limits)

    def check(self, value: Any, name: str, limits: Limits) -> str:
        """Return the word."""
        if value not in self._words:
            shown = repr(value[:40]) if isinstance(value, str) else type(value).__name__
            raise ApiError(422, f"{name} must be {' or '.join(self._words)}, not {shown}", "choose one of them")
        return str(value)

    def schema(self, limits: Limits) -> Schema:
        """Return the words."""
        return {"type": "string", "enum": list(self._words)}


@final
class Texts(Kind):
    """A list of texts: in JSON a list, elsewhere a parameter that is repeated."""

    repeats = True

    def read(self, text: str, name: str, limits: Limits) -> str:
        """Return one of the texts."""
        return text

    def check(self, value: Any, name: str, limits: Limits) -> tuple[str, ...]:
        """Return the texts."""
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise ApiError(422, f"{name} must be a list of texts", f'send for example "{name}": ["wren"]')
        return tuple(value)

    def schema(self, limits: Limits) -> Schema:
        """Return the list."""
        return {"type": "array", "items": {"type": "string"}}


@final
class JsonObject(Kind):
    """A JSON object, as text where it is a parameter or a field of a form.

    Args:
        most: how many keys it may have; None for any number.
        without: keys that it must not have.
        hint: what to do about one of those.
    """

    def __init__(
        self, most: FromLimits[int | None] = None, *, without: Sequence[str] = (), hint: str = "leave it out"
    ) -> None:
        self._most, self._without, self._hint = most, frozenset(without), hint

    def read(self, text: str, name: str, limits: Limits) -> dict[str, Any]:
        """Return the object that a text holds."""
        return self.check(json_object(text, name), name, limits)

    def check(self, value: Any, name: str, limits: Limits) -> dict[str, Any]:
        """Return the object."""
        if not isinstance(value, dict):
            raise ApiError(422, f"{name} must be a JSON object, not {type(value).__name__}", "send one JSON object")
        found = sorted(self._without & set(value))
        if found:
            raise ApiError(422, f"{name} must be a JSON object without {found[0]}, not one with it", self._hint)
        most = in_force(self._most, limits)
        if most is not None and len(value) > most:
            raise ApiError(422, f"{name} must have at most {most} keys, not {len(value)}", "ask for less")
        return value

    def schema(self, limits: Limits) -> Schema:
        """Return the bound in force."""
        most = in_force(self._most, limits)
        return {"type": "object", **({} if most is None else {"maxProperties": most})}

    def text_schema(self, limits: Limits) -> Schema:
        """Return that it comes as text."""
        return {"type": "string"}


_ID = Whole(0, LAST_ID)


def number_of(text: str, name: str) -> int:
    """Return a whole number written in decimal digits; raise `ApiError` (422) on anything else."""
    if not text.isascii() or not _NUMBER.fullmatch(text):
        raise ApiError(422, f"{name} must be a whole number, not {text[:40]!r}", "write it in digits, such as 10")
    return int(text)


def json_object(text: str | bytes, name: str) -> dict[str, Any]:
    """Return the object that a JSON text holds; raise `ApiError` (422) on anything else."""
    try:
        value = parse_json(text, name, InputError)
    except InputError as error:
        raise ApiError(422, str(error)[:200], "send one JSON object") from error
    if not isinstance(value, dict):
        raise ApiError(422, f"{name} must be a JSON object, not {type(value).__name__}", "send one JSON object")
    return value
