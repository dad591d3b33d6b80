"""Searches: what may be asked of them, and ready JSON of each query with its neighbors and how long each step took."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final, get_args

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes, n_bytes
from nearbit.errors import did_you_mean
from nearbit.index import Home, Results
from nearbit.service.collection import Collection, where_of
from nearbit.service.contract.answers import QueryAnswer, Ranking
from nearbit.service.contract.declared import Declared, field
from nearbit.service.contract.kinds import Choice, GivenId, JsonObject, Text, Texts, Whole
from nearbit.service.http.errors import ApiError
from nearbit.service.http.json_answers import id_facts, ready_json
from nearbit.service.settings import Limits

MOST_RADIUS = 65_536


def _usual_k(limits: Limits, given: Mapping[str, Any]) -> int:
    """Return how many results a query has that names none: as many as may be, where a radius bounds them."""
    return limits.default_k if given.get("radius") is None else limits.k


class SearchParams(Declared):
    """How far and where to search.

    Attributes:
        k: the most results of a query.
        radius: the largest distance, in bits; None for no limit.
        labels: only items with one of these; empty for any.
        metadata: only items that hold these values under these keys.
        ranking: by distance, or by weighted distance.
    """

    k: int = field(
        Whole(1, lambda limits: limits.k),
        lambda limits: f"The most results of a query; with a radius alone, up to {limits.k}.",
        default=_usual_k,
        may_be_null=True,
    )
    radius: int | None = field(Whole(0, MOST_RADIUS), "The largest distance, in bits.", default=None, may_be_null=True)
    labels: tuple[str, ...] = field(
        Texts(), "Only items with one of these labels; as a parameter, repeat it.", default=(), called="label"
    )
    metadata: dict[str, Any] = field(
        JsonObject(lambda limits: limits.conditions, without=["labels"], hint="filter labels by label"),
        lambda limits: (
            "Only items whose metadata hold these values: a JSON object of at most "
            f'{limits.conditions} keys, such as {{"camera": 3}}.'
        ),
        default={},
    )
    ranking: Ranking = field(
        Choice(*get_args(Ranking)),
        "By the bits that differ, or by |output| of the query summed over them, for which the query must have outputs: "
        "an uploaded image, or an item of an index that keeps them. A radius is then the largest such sum.",
        default="hamming",
    )


class QueryById(Declared):
    """A query that names an item."""

    id: int = field(GivenId(), "")


class QueryByCode(Declared):
    """A query that gives a code."""

    code: str = field(Text("^[0-9a-fA-F]+$", "hexadecimal digits", 'such as "4f2aa6252b59f2f3"'), "")


@dataclass(frozen=True, kw_only=True)
class Seconds:
    """How long the steps of an answer took, in seconds.

    Attributes:
        model: until the model was loaded.
        upload: until the body of the request was there.
        decode: of an uploaded image, the wait for a free thread included.
        encode: its code, the wait for images before it included.
        search: for neighbors, and what is said of them.
    """

    model: float = 0.0
    upload: float = 0.0
    decode: float = 0.0
    encode: float = 0.0
    search: float = 0.0


@dataclass(frozen=True, eq=False)
class Query:
    """One query: the item that it names, if it names one, its code, and its outputs where they are known."""

    item_id: int | None
    code: Codes
    outputs: npt.NDArray[np.float32] | None = None


@final
class Searcher:
    """Searches in a collection. Thread-safe."""

    def __init__(self, collection: Collection) -> None:
        """Take the collection."""
        self._collection = collection

    def by_item(self, item_id: int, asked: SearchParams) -> tuple[bytes, Seconds]:
        """Return the answer to a search from an item of the index, which is at distance 0 itself (ties go by id)."""
        return self.by_queries([QueryById(id=item_id)], asked)

    def by_queries(self, queries: Sequence[QueryById | QueryByCode], asked: SearchParams) -> tuple[bytes, Seconds]:
        """Return the answer to several queries."""
        began = time.perf_counter()
        with self._collection.use() as index:
            body = self._answer(index, [self._query(index, one) for one in queries], asked)
        return self._timed(body, Seconds(search=time.perf_counter() - began))

    def by_outputs(
        self, outputs: npt.NDArray[np.float32], code: Codes, asked: SearchParams, spent: Seconds
    ) -> tuple[bytes, Seconds]:
        """Return the answer to a search from an image: its outputs float32 `(n_bits,)` and its code."""
        began = time.perf_counter()
        with self._collection.use() as index:
            body = self._answer(index, [Query(None, code, outputs)], asked)
        return self._timed(body, replace(spent, search=time.perf_counter() - began))

    def _query(self, index: Home, asked: QueryById | QueryByCode) -> Query:
        if isinstance(asked, QueryByCode):
            return Query(None, code_of(asked.code, index.n_bits))
        code = self._collection.rendered([asked.id])[0].code
        kept = index.kept_outputs([asked.id])[0] if index.outputs is not None else None
        return Query(asked.id, code, kept)

    def _answer(self, index: Home, queries: Sequence[Query], asked: SearchParams) -> bytes:
        self._check_labels(asked)
        where = where_of(asked.labels, asked.metadata)
        parts = []
        for one in [_weighted(queries)] if asked.ranking == "asymmetric" else _together(queries):
            results = _results(index, one, asked, where)
            parts += [self._result(query, results, row) for row, query in enumerate(one)]
        about = (index.n_bits, asked.k, asked.ranking.encode(), b",".join(parts))
        return b'{"n_bits":%d,"k":%d,"ranking":"%b","results":[%b]' % about

    def _result(self, query: Query, results: Results, row: int) -> bytes:
        pairs = results.pairs(row)
        weighted = None if results.weighted is None else results.weighted[row].tolist()
        about: QueryAnswer = {"code": query.code.tobytes().hex()}
        if query.item_id is not None:
            about = {**id_facts(query.item_id), **about}
        items = self._neighbors([item_id for item_id, _ in pairs])
        neighbors = b",".join(
            b'{"rank":%d,"distance":%d,%b%b'
            % (
                rank,
                distance,
                b"" if weighted is None else b'"weighted_distance":%r,' % weighted[rank - 1],
                items[item_id],
            )
            for rank, (item_id, distance) in enumerate(pairs, start=1)
            if item_id in items
        )
        return b'{"query":%b,"neighbors":[%b]}' % (ready_json(about), neighbors)

    def _neighbors(self, ids: Sequence[int]) -> dict[int, bytes]:
        """Return items by id; one that was removed since the search is left out."""
        try:
            return {item_id: item.json for item_id, item in zip(ids, self._collection.rendered(ids), strict=True)}
        except ApiError:
            return {item_id: one.json for item_id in ids for one in self._if_there(item_id)}

    def _if_there(self, item_id: int) -> list[Any]:
        try:
            return self._collection.rendered([item_id])
        except ApiError:
            return []

    def _check_labels(self, asked: SearchParams) -> None:
        if not asked.labels:
            return
        known = self._collection.labels()
        for label in asked.labels:
            if label not in known:
                hint = did_you_mean(label, list(known)[:2000]).strip()
                raise ApiError(
                    422, f"no item has the label {label[:80]!r}", hint or "GET /api/v1/labels", code="unknown_label"
                )

    @staticmethod
    def _timed(body: bytes, spent: Seconds) -> tuple[bytes, Seconds]:
        times = b",".join(b'"%b":%.3f' % (name.encode(), 1000 * seconds) for name, seconds in vars(spent).items())
        return body + b',"timings_ms":{%b}}' % times, spent


def code_of(text: str, n_bits: int) -> Codes:
    """Return the code uint8 `(bytes,)` that a text in hexadecimal names."""
    width = n_bytes(n_bits)
    try:
        raw = bytes.fromhex(text) if len(text) == 2 * width and text.isalnum() else None
    except ValueError:
        raw = None
    if raw is None:
        raise ApiError(422, f"code must be {2 * width} hexadecimal digits ({n_bits} bits)", "send a code of this index")
    return np.frombuffer(raw, np.uint8)


def _together(queries: Sequence[Query]) -> list[list[Query]]:
    """Return queries in runs that one search can take: all with outputs, or all without."""
    runs: list[list[Query]] = []
    for query in queries:
        if not runs or (runs[-1][0].outputs is None) != (query.outputs is None):
            runs.append([])
        runs[-1].append(query)
    return runs


def _weighted(queries: Sequence[Query]) -> list[Query]:
    """Return the queries; raise `ApiError` (422) where one has no outputs."""
    for query in queries:
        if query.outputs is None:
            what = "a code has no outputs" if query.item_id is None else "this index keeps no outputs of its items"
            raise ApiError(
                422,
                f"{what}, by which ranking asymmetric ranks",
                "upload an image (/api/v1/search/image), build the index with outputs, or leave ranking out",
            )
    return list(queries)


def _results(index: Home, queries: Sequence[Query], asked: SearchParams, where: dict[str, Any] | None) -> Results:
    """Return the results of queries that all have outputs, or none."""
    codes = np.stack([query.code for query in queries])
    known = [query.outputs for query in queries if query.outputs is not None]
    outputs = np.stack(known) if known else None
    if asked.ranking == "asymmetric":
        return index.search(codes, k=asked.k, radius=asked.radius, where=where, weights=outputs)
    ties = None if index.outputs is None else outputs
    return index.search(codes, k=asked.k, radius=asked.radius, where=where, outputs=ties)
