"""What the service answers when it does not do what was asked: one JSON shape, everywhere."""

import json
import sqlite3
from collections.abc import Sequence

from nearbit.errors import BundleError, ImageError, IndexFileError, InputError, NearbitError

CODES = {
    400: "bad_request",
    401: "token_needed",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    409: "conflict",
    413: "too_large",
    415: "wrong_content_type",
    422: "invalid",
    431: "head_too_large",
    500: "internal_error",
    503: "busy",
}


class ApiError(Exception):
    """A request that is not done.

    Attributes:
        status: of HTTP.
        message: what was expected and what came.
        hint: what to do.
        code: names the kind of refusal for programs.
        headers: of the answer, beside those of every answer.
    """

    def __init__(
        self, status: int, message: str, hint: str = "", *, code: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.hint = status, message, hint
        self.code = code or CODES[status]
        self.headers = headers or {}

    def body(self) -> bytes:
        """Return the JSON of the answer."""
        return error_json(self.code, self.message, self.hint)


def error_json(code: str, message: str, hint: str) -> bytes:
    """Return the one shape of errors."""
    return json.dumps({"error": {"code": code, "message": message, "hint": hint}}).encode()


def api_error_of(error: NearbitError, hidden: Sequence[str] = ()) -> ApiError:
    """Return how the service answers an error of the library.

    Args:
        error: what the library raised.
        hidden: folders of this machine, which are left out of the message.
    """
    message, hint = _parted(without(str(error), hidden))
    if isinstance(error, ImageError):
        return ApiError(
            422, message, hint or "send a JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF image", code="not_an_image"
        )
    if isinstance(error, InputError):
        return ApiError(422, message, hint or "correct the value and send the request again")
    if isinstance(error, IndexFileError):
        return ApiError(503, message, hint, code="index_unavailable", headers={"Retry-After": "2"})
    if isinstance(error, BundleError):
        return ApiError(409, message, hint, code="model_unavailable")
    return ApiError(409, message, hint)


FAULTS: tuple[tuple[tuple[type[BaseException], ...], int, str, str, str], ...] = (
    ((MemoryError,), 503, "busy", "this needs more memory than there is", "ask for less, or try again later"),
    ((RecursionError,), 422, "invalid", "what was sent is nested too deeply", "send it with a few levels"),
    ((UnicodeError,), 400, "bad_request", "what was sent holds text that is not UTF-8", "encode it as UTF-8"),
    ((OverflowError,), 422, "invalid", "a number was sent that is too large", "send one that fits 64 bits"),
    ((sqlite3.Error,), 503, "index_unavailable", "the index cannot be read or written", "see the log of the service"),
    ((OSError,), 503, "index_unavailable", "a file cannot be read or written", "see the log of the service"),
)
"""How faults are answered whose kind says whose they are: status, code, message, hint. Any other one is ours."""


def api_error_of_fault(error: BaseException) -> ApiError:
    """Return how the service answers what nobody foresaw; the log says more."""
    for kinds, status, code, message, hint in FAULTS:
        if isinstance(error, kinds):
            return ApiError(status, message, hint, code=code, headers={"Retry-After": "2"} if status == 503 else None)
    return ApiError(500, "the service failed", "see its log; please report it")


def without(text: str, folders: Sequence[str]) -> str:
    """Return a text without the names of folders, which are nobody's business elsewhere."""
    for folder in folders:
        text = text.replace(f"{folder}/", "")
    return text


def _parted(text: str) -> tuple[str, str]:
    """Return the message and the hint of an error of the library, which puts "what to do" after a semicolon."""
    message, _, hint = text.partition("; ")
    return message, hint
