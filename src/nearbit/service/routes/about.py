"""About the index and its model: sizes, health of the codes, centers, the card; and the state of the service."""

from typing import Any

from starlette.responses import PlainTextResponse, Response

from nearbit.errors import BundleError
from nearbit.index import Home
from nearbit.service.contract.answers import (
    JSON,
    AboutAnswer,
    CardAnswer,
    CentersAnswer,
    HealthAnswer,
    JsonAnswer,
    OtherAnswer,
)
from nearbit.service.contract.declared import Declared, Nothing
from nearbit.service.contract.operation import Call, get
from nearbit.service.http.errors import ApiError
from nearbit.service.http.json_answers import ready_json
from nearbit.service.info import card_of, centers_of, health_info, map_of
from nearbit.service.monitoring import log
from nearbit.service.service import Service

NO_MODEL = "the index names no model that is at hand"
GIVE_MODEL = "start the service with --model FOLDER"
NO_CENTERS = "the model has no centers of classes: its method trains without them, or had no labels"


NEEDS_MODEL = {404: "no_model", 409: "model_unavailable", 422: "invalid"}
NEEDS_CENTERS = NEEDS_MODEL | {404: "no_centers"}
LOADING = OtherAnswer("They are being loaded, or the service is busy.", "text/plain", JSON)


class Anything(Declared):
    """A probe, which may say what it likes."""

    takes_any = True


@get("/api/v1/index", Nothing, {200: JsonAnswer(AboutAnswer)}, {422: "invalid"})
async def about_index(call: Call[Nothing, None]) -> Response:
    """Return sizes and origin of the index."""
    service = call.service
    return _json(await service.searching(service.collection.once, "about", lambda index: _about(service, index)))


@get("/api/v1/index/health", Nothing, {200: JsonAnswer(HealthAnswer)}, {409: "empty_index", 422: "invalid"})
async def health(call: Call[Nothing, None]) -> Response:
    """Return how good the codes are for search; computed once for each state of the index."""
    service = call.service
    return _json(await service.searching(service.collection.once, "health", lambda index: _health(service, index)))


@get("/api/v1/index/centers", Nothing, {200: JsonAnswer(CentersAnswer)}, NEEDS_CENTERS)
async def centers(call: Call[Nothing, None]) -> Response:
    """Return the class centers of the model as a map in the plane."""
    service = call.service
    return _json(await service.searching(service.collection.once, "centers", lambda index: _centers(service, index)))


@get("/api/v1/model", Nothing, {200: JsonAnswer(CardAnswer)}, NEEDS_MODEL)
async def model(call: Call[Nothing, None]) -> Response:
    """Return what is known of the model."""
    return _json(await call.service.searching(_card, call.service))


@get("/livez", Anything, {200: OtherAnswer("The process runs.", "text/plain")}, {})
async def livez(call: Call[Anything, None]) -> Response:
    """Say that the process runs."""
    return PlainTextResponse("ok\n")


@get("/readyz", Anything, {200: OtherAnswer("Index and model are loaded.", "text/plain")}, {503: LOADING})
async def readyz(call: Call[Anything, None]) -> Response:
    """Say whether index and model are loaded."""
    return PlainTextResponse("ready\n") if call.service.is_ready else PlainTextResponse("loading\n", 503)


@get("/metrics", Nothing, {200: OtherAnswer("Numbers for Prometheus.", "text/plain")}, {422: "invalid"})
async def metrics(call: Call[Nothing, None]) -> Response:
    """Return numbers about this process for Prometheus."""
    gauges = await call.service.searching(_gauges, call.service)
    return PlainTextResponse(call.service.counters.text(gauges), media_type="text/plain; version=0.0.4")


def _card(service: Service) -> bytes:
    with service.collection.use() as index:
        folder = service.model_of(index)
    if folder is None:
        raise ApiError(404, NO_MODEL, GIVE_MODEL, code="no_model")
    return ready_json(card_of(folder))


def _about(service: Service, index: Home) -> bytes:
    stats, options = index.stats(), service.options
    search = {name: value for name, value in stats["search"].items() if isinstance(value, str | int | float)}
    limits = options.limits
    answer: AboutAnswer = {
        "name": service.own.name,
        "items": stats["items"],
        "distinct_codes": stats["distinct_codes"],
        "n_bits": stats["n_bits"],
        "file_bytes": stats["file_bytes"],
        "cache_bytes": stats["cache_bytes"],
        "model_id": stats["model_id"],
        "outputs": stats["outputs"],
        "format_version": stats["format_version"],
        "created": stats["created"],
        "revision": stats["revision"],
        "added_since_merge": stats["added_since_merge"],
        "removed_since_merge": stats["removed_since_merge"],
        "search": search,
        "labels": len(service.collection.labels()),
        "has_model": service.model_of(index) is not None,
        "takes_text": service.words.are_taken,
        "can_write": options.allow_write,
        "limits": {
            "image_bytes": limits.image_bytes,
            "pixels": limits.pixels,
            "k": limits.k,
            "queries": limits.queries,
            "results": limits.results,
            "page": limits.page,
        },
    }
    return ready_json(answer)


def _health(service: Service, index: Home) -> bytes:
    if not len(index):
        raise ApiError(409, "the index is empty", "add items before asking for their health", code="empty_index")
    try:
        folder = service.model_of(index)
        centers = None if folder is None else centers_of(folder)
    except BundleError as error:  # the codes have their health without it
        log("no_centers", reason=str(error))
        centers = None
    return ready_json(health_info(index.codes()[1], index.n_bits, centers))


def _centers(service: Service, index: Home) -> bytes:
    folder = service.model_of(index)
    if folder is None:
        raise ApiError(404, f"no centers are known: {NO_MODEL}", GIVE_MODEL, code="no_model")
    found = centers_of(folder)
    if found is None:
        raise ApiError(404, NO_CENTERS, "search does without them", code="no_centers")
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


OPERATIONS = (about_index, health, centers, model, livez, readyz, metrics)
