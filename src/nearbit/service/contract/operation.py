"""One operation of the API: declared once at its handler, and from that read, answered and described.

    @get("/api/v1/items", Paging, {200: JsonAnswer(ItemPage)}, {422: "invalid"})
    async def items(call: Call[Paging, None]) -> Response: ...

A module of routes lists its operations in `OPERATIONS`; nothing else is said of them anywhere.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from inspect import getdoc
from typing import Any, Generic, TypeVar, final
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from nearbit.service.contract.answers import JSON, Answer
from nearbit.service.contract.declared import Declared, Nothing
from nearbit.service.contract.kinds import Schema, json_object
from nearbit.service.http.access import Scope
from nearbit.service.http.errors import ApiError
from nearbit.service.http.middleware import Receive, Send
from nearbit.service.http.uploads import FORM, IMAGE_FIELD, upload_of
from nearbit.service.service import Service
from nearbit.service.settings import Limits, megabytes

Asked = TypeVar("Asked", bound=Declared)
Said = TypeVar("Said", bound=Declared)
Content = TypeVar("Content")
Refusals = Mapping[int, "str | Answer"]
"""What a request may be refused with beside what any may be, by status: the code of an example, or another answer."""


class Body(ABC, Generic[Content]):
    """What the body of a request holds."""

    content_type = ""

    async def read(self, request: Request, limits: Limits) -> Content:
        """Return what a body says; raise `ApiError` where it is of another type (415) or of no use (400, 413, 422)."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != self.content_type:
            raise ApiError(415, f"expected {self.content_type}, came {kind[:60] or 'nothing'}", self._hint)
        return await self._content(request, limits)

    _hint = ""

    @abstractmethod
    async def _content(self, request: Request, limits: Limits) -> Content: ...

    @abstractmethod
    def schema(self, limits: Limits) -> Schema:
        """Return how OpenAPI describes it."""


@final
class NoBody(Body[None]):
    """A request without a body; one that comes is not read."""

    async def _content(self, request: Request, limits: Limits) -> None:
        return None

    def schema(self, limits: Limits) -> Schema:
        """Return that there is none."""
        return {}


@final
class JsonBody(Body[Said]):
    """A JSON object of declared fields."""

    content_type = JSON
    _hint = "send a JSON object"

    def __init__(self, declared: type[Said]) -> None:
        self._declared = declared

    async def _content(self, request: Request, limits: Limits) -> Said:
        return self._declared.of_json(json_object(await request.body(), "the body"), limits)

    def schema(self, limits: Limits) -> Schema:
        """Return its fields, with the limits in force."""
        return self._declared.schema(limits)


@final
@dataclass(frozen=True, eq=False)
class Upload(Generic[Said]):
    """One image file and what the fields beside it say."""

    data: bytes
    said: Said


@final
class UploadForm(Body[Upload[Said]]):
    """A form with one image and declared fields."""

    content_type = FORM
    _hint = f"send a form with a file named {IMAGE_FIELD}"

    def __init__(self, declared: type[Said]) -> None:
        self._declared = declared

    async def _content(self, request: Request, limits: Limits) -> Upload[Said]:
        data, fields = await upload_of(request, limits)
        return Upload(data, self._declared.of_text(fields, limits))

    def schema(self, limits: Limits) -> Schema:
        """Return the file and the fields, with the limits in force."""
        words = (
            f"JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF, to {megabytes(limits.image_bytes)} and "
            f"{limits.pixels / 1e6:.3g} million pixels."
        )
        image = {"type": "string", "format": "binary", "description": words}
        return self._declared.form_schema(limits, {IMAGE_FIELD: image})


@final
@dataclass(frozen=True, eq=False)
class Call(Generic[Asked, Content]):
    """One request, as its handler gets it.

    Attributes:
        service: the parts of the service.
        request: as it came.
        asked: what path and query say.
    """

    service: Service
    request: Request
    asked: Asked
    _body: Body[Content]

    async def body(self) -> Content:
        """Return what the body says; it is read now, so that a handler may refuse before anything large has come."""
        return await self._body.read(self.request, self.service.options.limits)


Handler = Callable[[Call[Asked, Content]], Awaitable[Response]]


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Operation:
    """One operation.

    Attributes:
        method: GET (then HEAD is answered alike), POST or DELETE.
        path: with the names of its parts in braces.
        asked: what path and query may say.
        body: what the body may hold.
        answers: by status.
        refusals: by status.
        handler: answers it.
    """

    method: str
    path: str
    asked: type[Declared]
    body: Body[Any]
    answers: Mapping[int, Answer]
    refusals: Refusals
    handler: Handler[Any, Any]

    @property
    def name(self) -> str:
        """The name of the handler."""
        return self.handler.__name__

    @property
    def words(self) -> str:
        """What it does, for people: its handler's docstring."""
        return getdoc(self.handler) or ""

    async def answer(self, service: Service, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        query = scope["query_string"].decode("latin-1")
        pairs = parse_qsl(query, keep_blank_values=True) if query else ()
        asked = self.asked.of_text(pairs, service.options.limits, scope["path_params"])
        response = await self.handler(Call(service, request, asked, self.body))
        await response(scope, receive, send)


@final
class Resource:
    """What answers at one path, an ASGI application: its operations by their methods.

    Attributes:
        path: of the operations.
    """

    def __init__(self, service: Service, operations: Iterable[Operation]) -> None:
        """Take the parts of the service, and operations of one path."""
        self._service, self._operations = service, {one.method: one for one in operations}
        if "GET" in self._operations:  # HEAD is answered alike; the server sends no body then
            self._operations["HEAD"] = self._operations["GET"]
        (self.path,) = {one.path for one in self._operations.values()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        scope["resource"] = self.path
        operation = self._operations.get(scope["method"])
        if operation is None:
            raise HTTPException(405, headers={"Allow": ", ".join(self._operations)})
        await operation.answer(self._service, scope, receive, send)


Declare = Callable[[Handler[Asked, Content]], Operation]


def get(path: str, asked: type[Asked], answers: Mapping[int, Answer], refusals: Refusals) -> Declare[Asked, None]:
    """Declare the operation that a handler answers: GET, and HEAD alike."""
    return _declare("GET", path, asked, NoBody(), answers, refusals)


def post(
    path: str, body: Body[Content], answers: Mapping[int, Answer], refusals: Refusals
) -> Declare[Nothing, Content]:
    """Declare the operation that a handler answers: POST."""
    return _declare("POST", path, Nothing, body, answers, refusals)


def delete(path: str, asked: type[Asked], answers: Mapping[int, Answer], refusals: Refusals) -> Declare[Asked, None]:
    """Declare the operation that a handler answers: DELETE."""
    return _declare("DELETE", path, asked, NoBody(), answers, refusals)


def _declare(
    method: str,
    path: str,
    asked: type[Asked],
    body: Body[Content],
    answers: Mapping[int, Answer],
    refusals: Refusals,
) -> Declare[Asked, Content]:
    def declared(handler: Handler[Asked, Content]) -> Operation:
        return Operation(
            method=method, path=path, asked=asked, body=body, answers=answers, refusals=refusals, handler=handler
        )

    return declared
