"""The application: the declared operations, the document that describes them, and the page."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router

from nearbit.service.contract.answers import JSON
from nearbit.service.contract.document import document
from nearbit.service.contract.operation import Operation, Resource
from nearbit.service.http.conditional import PageFiles, has_already
from nearbit.service.http.json_answers import ready_json
from nearbit.service.http.middleware import Middleware
from nearbit.service.routes import about, groups, items, search, write
from nearbit.service.service import Service
from nearbit.service.settings import ServiceOptions

OPERATIONS: tuple[Operation, ...] = (
    *search.OPERATIONS,
    *items.OPERATIONS,
    *write.OPERATIONS,
    *groups.OPERATIONS,
    *about.OPERATIONS,
)
"""All of the API; paths are matched in this order."""


def make_app(options: ServiceOptions) -> Middleware:
    """Return the ASGI application that serves an index.

    Raises:
        IndexFileError: the index cannot be opened, or the given model did not make its codes.
        BundleError: the given model folder is none.
    """
    service = Service(options)
    contract, page = ready_json(document(OPERATIONS, options.limits)), static_folder()
    routes: list[BaseRoute] = [
        *map(_route, resources_of(service)),
        Route("/openapi.json", lambda request: Response(contract, media_type=JSON)),
        Route("/", lambda request: _page(request, page / "index.html")),
        Mount("/static", PageFiles(directory=page)),
    ]
    return Middleware(Router(routes, redirect_slashes=False, lifespan=lambda app: _running(service)), service)


def resources_of(service: Service) -> list[Resource]:
    """Return what answers at each path."""
    paths = dict.fromkeys(one.path for one in OPERATIONS)
    return [Resource(service, [one for one in OPERATIONS if one.path == path]) for path in paths]


def _route(resource: Resource) -> Route:
    return Route(resource.path, resource)


NO_CACHE = {"Cache-Control": "no-cache"}


def _page(request: Request, file: Path) -> Response:
    answer = FileResponse(file, headers=NO_CACHE, stat_result=file.stat())
    if has_already(request.headers, answer.headers["etag"]):
        return Response(status_code=304, headers={"ETag": answer.headers["etag"], **NO_CACHE})
    return answer


def static_folder() -> Path:
    """Return the folder of the page."""
    return Path(str(resources.files("nearbit.service") / "static"))


@asynccontextmanager
async def _running(service: Service) -> AsyncIterator[None]:
    service.start()
    try:
        yield
    finally:
        service.stop()
