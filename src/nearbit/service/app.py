"""The application: its routes, and how errors are answered."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

import nearbit
from nearbit.errors import NearbitError
from nearbit.service.contract.operations import DESCRIPTION, operation
from nearbit.service.http.conditional import PageFiles, has_already
from nearbit.service.http.errors import CODES, ApiError, api_error_of_fault
from nearbit.service.http.fast_path import FastPath
from nearbit.service.http.middleware import Middleware
from nearbit.service.routes import about, items, search, write
from nearbit.service.service import Service
from nearbit.service.settings import ServiceOptions

API = "/api/v1"

ROUTES: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("POST", f"{API}/search/image", search.search_image),
    ("POST", f"{API}/search", search.search_many),
    ("GET", f"{API}/items/{{item_id}}/neighbors", search.neighbors),
    ("GET", f"{API}/items", items.items),
    ("GET", f"{API}/items/sample", items.sample),
    ("GET", f"{API}/items/{{item_id}}", items.item),
    ("GET", f"{API}/items/{{item_id}}/thumbnail", items.thumbnail),
    ("GET", f"{API}/items/{{item_id}}/original", items.original),
    ("POST", f"{API}/items", write.add_item),
    ("DELETE", f"{API}/items/{{item_id}}", write.remove_item),
    ("GET", f"{API}/labels", items.labels),
    ("GET", f"{API}/index", about.about_index),
    ("GET", f"{API}/index/health", about.health),
    ("GET", f"{API}/index/centers", about.centers),
    ("GET", f"{API}/model", about.model),
    ("GET", "/livez", about.livez),
    ("GET", "/readyz", about.readyz),
    ("GET", "/metrics", about.metrics),
)


def make_app(options: ServiceOptions) -> Middleware:
    """Return the ASGI application that serves an index.

    Raises:
        IndexFileError: the index cannot be opened, or the given model did not make its codes.
        BundleError: the given model folder is none.
    """
    service = Service(options)
    app = FastAPI(
        title="nearbit",
        version=nearbit.__version__,
        description=DESCRIPTION,
        docs_url=None,  # these pages of FastAPI load scripts from elsewhere
        redoc_url=None,
        lifespan=lambda app: _running(service),
        redirect_slashes=False,
    )
    app.state.service = service
    for method, path, handler in ROUTES:
        app.add_api_route(path, handler, methods=[method], **operation(handler, options.limits))
        if method == "GET":  # HEAD is answered alike; the server sends no body then
            app.add_api_route(path, handler, methods=["HEAD"], include_in_schema=False)
    page = static_folder()
    app.add_route("/", lambda request: _page(request, page / "index.html"), include_in_schema=False)
    app.mount("/static", PageFiles(directory=page), name="static")
    app.add_exception_handler(ApiError, _refused)
    app.add_exception_handler(NearbitError, _library_refused)
    app.add_exception_handler(HTTPException, _not_routed)
    app.add_exception_handler(Exception, _failed)
    return Middleware(FastPath(app), service)


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


def _refused(request: Request, error: Any) -> Response:
    return _answer(error)


def _library_refused(request: Request, error: Any) -> Response:
    service: Service = request.app.state.service
    return _answer(service.api_error(error))


def _not_routed(request: Request, error: Any) -> Response:
    status = error.status_code if error.status_code in CODES else 400
    messages = {
        404: f"nothing is at {request.url.path[:200]}",
        405: f"{request.method} is not for {request.url.path[:200]}",
    }
    hint = "see /openapi.json" if status in messages else ""
    return _answer(ApiError(status, messages.get(status, str(error.detail)), hint, headers=dict(error.headers or {})))


def _failed(request: Request, error: Any) -> Response:
    return _answer(api_error_of_fault(error))


def _answer(api_error: ApiError) -> Response:
    return Response(api_error.body(), api_error.status, media_type="application/json", headers=api_error.headers)
