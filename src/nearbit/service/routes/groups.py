"""What lies near what, without a query: groups of near-duplicates, and clusters. No file is read for them."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, final

from starlette.responses import Response

from nearbit.grouping.clusters import label_counts
from nearbit.index import Clusters, Groups, Home
from nearbit.service.contract.answers import JSON, ClustersAnswer, DuplicatesAnswer, JsonAnswer, LabelAnswer
from nearbit.service.contract.declared import Declared, field
from nearbit.service.contract.kinds import Whole
from nearbit.service.contract.operation import Call, get
from nearbit.service.http.json_answers import ready_json
from nearbit.service.service import Service

MOST_RADIUS = 16
"""Bits; beyond it groups say nothing, and pairs are many."""
USUAL_RADIUS, USUAL_MEMBERS = 3, 8
MOST_KEPT = 4
"""Results of so many radii, and of as many numbers of clusters, are kept for the present state of the index."""


class Grouping(Declared):
    """Which groups."""

    radius: int = field(Whole(0, MOST_RADIUS), "The largest distance of a pair, in bits.", default=USUAL_RADIUS)
    first: int = field(Whole(0, 2**31 - 1), "Groups from this one on, counted from 0.", default=0)
    limit: int = field(
        Whole(1, lambda limits: limits.page), "How many groups.", default=lambda limits, given: limits.default_page
    )
    members: int = field(Whole(1, 50), "Items that are named of each group, at most.", default=USUAL_MEMBERS)


class Clustering(Declared):
    """Which clusters."""

    number: int | None = field(
        Whole(1, lambda limits: limits.page),
        "How many clusters; left out, the root of half the distinct codes, at most 100.",
        default=None,
    )
    members: int = field(Whole(1, 50), "Items that are named of each cluster, at most.", default=USUAL_MEMBERS)


@get("/api/v1/duplicates", Grouping, {200: JsonAnswer(DuplicatesAnswer)}, {422: "invalid"})
async def duplicates(call: Call[Grouping, None]) -> Response:
    """Return groups of items joined by chains of pairs within a radius; nothing is deleted."""
    return _json(await _settled(_duplicates, call.service, call.asked))


@get("/api/v1/clusters", Clustering, {200: JsonAnswer(ClustersAnswer)}, {422: "invalid"})
async def clusters(call: Call[Clustering, None]) -> Response:
    """Return all items around the centers of clusters (k-majority), each with its typical item."""
    return _json(await _settled(_clusters, call.service, call.asked))


@final
class Recent:
    """The latest few results of one kind, each made once. Thread-safe."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        self._lock = threading.Lock()
        self._kept: dict[Any, Any] = {}

    def of(self, key: Any, make: Callable[[], Any]) -> Any:
        """Return what was made for a key, or make it; who asks meanwhile waits."""
        with self._lock:
            value = self._kept.pop(key, None)
            self._kept[key] = make() if value is None else value
            while len(self._kept) > MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            return self._kept[key]


async def _settled(work: Callable[[Service, Any], bytes], service: Service, asked: Any) -> bytes:
    return await service.searching(service.collection.settled, lambda: work(service, asked))


def _recent(service: Service, kind: str) -> Recent:
    """Return what is kept for the present state of the index."""
    found: Recent = service.collection.once(f"recent {kind}", lambda index: Recent())
    return found


def _duplicates(service: Service, asked: Grouping) -> bytes:
    with service.collection.use() as index:
        found: Groups = _recent(service, "groups").of(asked.radius, lambda: index.groups(asked.radius))
        stop = min(len(found), asked.first + asked.limit)
        groups = [_group(service, found, number, asked.members) for number in range(asked.first, stop)]
        about = {
            "radius": asked.radius,
            "items": len(index),
            "n_groups": len(found),
            "n_others": len(found.ids) - len(found),
            "next_first": stop if stop < len(found) else None,
        }
    return b'{"groups":[' + b",".join(groups) + b"]," + ready_json(about)[1:]


def _group(service: Service, found: Groups, number: int, members: int) -> bytes:
    start, stop = int(found.offsets[number]), int(found.offsets[number + 1])
    some = slice(start, min(stop, start + members))
    ids = found.ids[some].tolist()
    label_sets = {frozenset(item.labels) for item in service.collection.items(ids)}
    about = ready_json({"size": stop - start, "same_labels": len(label_sets) == 1})
    return b'{"items":' + _members(service, ids, found.distances[some].tolist()) + b"," + about[1:]


def _clusters(service: Service, asked: Clustering) -> bytes:
    with service.collection.use() as index:
        found, labels = _recent(service, "clusters").of(asked.number, lambda: _made(index, asked.number))
        parts = []
        for number in range(len(found)):
            start, stop = int(found.offsets[number]), int(found.offsets[number + 1])
            ids, away = found.ids[start:stop], found.distances[start:stop]
            about = {"size": stop - start, "mean_distance": float(away.mean()), "labels": labels[number]}
            named = _members(service, ids[: asked.members].tolist(), away[: asked.members].tolist())
            parts.append(b'{"items":' + named + b"," + ready_json(about)[1:])
        whole = {"items": len(found.ids), "mean_distance": found.mean_distance, "has_settled": found.has_settled}
    return b'{"clusters":[' + b",".join(parts) + b"]," + ready_json(whole)[1:]


def _made(index: Home, number: int | None) -> tuple[Clusters, list[list[LabelAnswer]]]:
    """Return clusters, and the most frequent labels of each."""
    found = index.clusters(number)
    counts = label_counts(index, found)
    return found, [[{"label": label, "items": n} for label, n in one.items()] for one in counts]


def _members(service: Service, ids: Sequence[int], away: Sequence[int]) -> bytes:
    rendered = service.collection.rendered(ids)
    return (
        b"["
        + b",".join(b'{"distance":%d,%b' % (bits, one.json) for bits, one in zip(away, rendered, strict=True))
        + b"]"
    )


def _json(body: bytes) -> Response:
    return Response(body, media_type=JSON, headers={"Cache-Control": "no-store"})


OPERATIONS = (duplicates, clusters)
