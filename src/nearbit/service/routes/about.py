"""About the index and its model: sizes, health of the codes, centers, the card; and the state of the service."""

from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from nearbit.errors import BundleError
from nearbit.index import Index
from nearbit.service.http.errors import ApiError, ready_json
from nearbit.service.http.query_params import by_name
from nearbit.service.info import card_of, centers_of, health_info, map_of
from nearbit.service.logs import log
from nearbit.service.service import Service

NO_MODEL = "the index names no model that is at hand"
GIVE_MODEL = "start the service with --model FOLDER"


async def about_index(request: Request) -> Response:
    """Return sizes and origin of the index."""
    service = _service(request)
    return _json(await service.searching(service.collection.once, "about", lambda index: _about(service, index)))


async def health(request: Request) -> Response:
    """Return how good the codes are for search; computed once for each state of the index."""
    service = _service(request)
    return _json(await service.searching(service.collection.once, "health", lambda index: _health(service, index)))


async def centers(request: Request) -> Response:
    """Return the class centers of the model as a map in the plane."""
    service = _service(request)
    return _json(await service.searching(service.collection.once, "centers", lambda index: _centers(service, index)))


async def model(request: Request) -> Response:
    """Return what is known of the model."""
    service = _service(request)
    return _json(await service.searching(_card, service))


async def livez(request: Request) -> Response:
    """Say that the process runs."""
    return PlainTextResponse("ok\n")


async def readyz(request: Request) -> Response:
    """Say whether index and model are loaded."""
    service: Service = request.app.state.service
    return PlainTextResponse("ready\n") if service.is_ready else PlainTextResponse("loading\n", 503)


async def metrics(request: Request) -> Response:
    """Return numbers about this process for Prometheus."""
    service = _service(request)
    gauges = await service.searching(_gauges, service)
    return PlainTextResponse(service.counters.text(gauges), media_type="text/plain; version=0.0.4")


def _service(request: Request) -> Service:
    by_name(request.query_params.multi_items(), ())
    service: Service = request.app.state.service
    return service


def _card(service: Service) -> bytes:
    with service.collection.use() as index:
        folder = service.model_of(index)
    if folder is None:
        raise ApiError(404, NO_MODEL, GIVE_MODEL, code="no_model")
    return ready_json(card_of(folder))


def _about(service: Service, index: Index) -> bytes:
    stats = index.stats()
    search = stats.pop("search")
    kept = {name: value for name, value in stats.items() if name != "path"}
    options = service.options
    return ready_json(
        {
            "name": index.path.name,
            **kept,
            "search": {name: value for name, value in search.items() if isinstance(value, str | int | float)},
            "labels": len(service.collection.labels()),
            "has_model": service.model_of(index) is not None,
            "can_write": options.allow_write,
            "limits": {
                "image_bytes": options.limits.image_bytes,
                "pixels": options.limits.pixels,
                "k": options.limits.k,
                "queries": options.limits.queries,
                "results": options.limits.results,
                "page": options.limits.page,
            },
        }
    )


def _health(service: Service, index: Index) -> bytes:
    if not len(index):
        raise ApiError(409, "the index is empty", "add items before asking for their health", code="empty_index")
    try:
        folder = service.model_of(index)
        centers = None if folder is None else centers_of(folder)
    except BundleError as error:  # the codes have their health without it
        log("no_centers", reason=str(error))
        centers = None
    return ready_json(health_info(index.codes()[1], index.n_bits, centers))


def _centers(service: Service, index: Index) -> bytes:
    folder = service.model_of(index)
    found = None if folder is None else centers_of(folder)
    if found is None:
        raise ApiError(404, f"no centers are known: {NO_MODEL}, or it has none", GIVE_MODEL, code="no_model")
    return ready_json(map_of(found, service.collection.labels()))


def _gauges(service: Service) -> dict[str, tuple[str, float]]:
    with service.collection.use() as index:
        state, n_items = index.state(), len(index)
    thumbnails, size = service.thumbnails.count()
    values: dict[str, Any] = {
        "nearbit_items": ("Items of the index.", n_items),
        "nearbit_index_revision": ("Number of changes of the index.", state.revision),
        "nearbit_ready": ("Whether index and model are loaded.", int(service.is_ready)),
        "nearbit_thumbnails": ("Thumbnails that are kept.", thumbnails),
        "nearbit_thumbnail_bytes": ("Bytes of the thumbnails that are kept.", size),
    }
    return values


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})
