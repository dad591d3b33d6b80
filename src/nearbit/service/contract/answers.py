"""The answers of the API, as types: the code that makes them is checked against these, and OpenAPI is made of them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired, TypedDict, final

from nearbit.service.contract.typed import More, Schema, schema_of

JSON = "application/json"

_ID_WORDS = "A number up to 2^53 - 1, which JSON holds exactly everywhere; beyond it the same digits as text."
Id = Annotated[int | str, More(pattern="^[0-9]{16,19}$", description=_ID_WORDS)]
NextId = Annotated[int | str | None, More(pattern="^[0-9]{16,19}$", description=_ID_WORDS)]
IdText = Annotated[str, More(pattern="^[0-9]{1,19}$", description="The id as text, whatever it is.")]
NextIdText = Annotated[str | None, More(pattern="^[0-9]{1,19}$")]
Code = Annotated[str, More(pattern="^([0-9a-f]{2})+$", description="Hexadecimal; the first bit is highest.")]
Ranking = Literal["hamming", "asymmetric"]
Ordinal = Annotated[int, More(minimum=1)]


class ItemAnswer(TypedDict):
    """One item."""

    id: Id
    id_text: IdText
    code: Code
    labels: list[str]
    path: Annotated[str | None, More(description="From the folder of the index; outside of it, the name alone.")]
    digest: Annotated[str | None, More(description="SHA-256 of the picture; the same for exact duplicates.")]
    metadata: dict[str, Any]
    thumbnail: Annotated[str | None, More(description="Where a small picture is; null where there is none.")]
    has_original: Annotated[bool, More(description="Whether the file can be downloaded.")]
    missing: Annotated[bool, More(description="Whether the file is no longer where the index says.")]
    trained_on: Annotated[
        bool | None,
        More(description="Whether the network was trained on this very picture; null where that is not known."),
    ]


class NeighborAnswer(ItemAnswer):
    """One item among the results of a query."""

    rank: Ordinal
    distance: int
    weighted_distance: NotRequired[
        Annotated[
            float, More(description="What ranking asymmetric ranks by: |output| summed over the bits that differ.")
        ]
    ]


class QueryAnswer(TypedDict):
    """What was searched from; an uploaded image has no id."""

    id: NotRequired[Id]
    id_text: NotRequired[IdText]
    code: Code


class ResultAnswer(TypedDict):
    """The results of one query."""

    query: QueryAnswer
    neighbors: list[NeighborAnswer]


class TimesAnswer(TypedDict):
    """How long the steps took, in milliseconds: of an upload also until the model was loaded and the picture there."""

    model: float
    upload: float
    decode: float
    encode: float
    search: float


class SearchAnswer(TypedDict):
    """The results of a search."""

    n_bits: Ordinal
    k: Ordinal
    ranking: Ranking
    results: list[ResultAnswer]
    timings_ms: TimesAnswer


class PageAnswer(TypedDict):
    """A page of items."""

    items: list[ItemAnswer]
    next_after: NextId
    next_after_text: NextIdText


class SampleAnswer(TypedDict):
    """Items drawn at random."""

    items: list[ItemAnswer]


class LabelAnswer(TypedDict):
    """A label and how many items have it."""

    label: str
    items: int


class LabelsAnswer(TypedDict):
    """All labels, the most frequent first."""

    labels: list[LabelAnswer]


class MemberAnswer(ItemAnswer):
    """One item of a group or of a cluster."""

    distance: Annotated[int, More(description="To the first item of the group, or to the center of the cluster.")]


class GroupAnswer(TypedDict):
    """Items that pairs within a radius join."""

    size: Ordinal
    same_labels: Annotated[bool, More(description="Whether all items that are named have the same labels.")]
    items: Annotated[list[MemberAnswer], More(description="The first ones by id, not more than were asked for.")]


class DuplicatesAnswer(TypedDict):
    """Groups of near-duplicates, the largest first."""

    radius: int
    items: Annotated[int, More(description="Items of the index.")]
    n_groups: int
    n_others: Annotated[int, More(description="Items in groups beside the first of each.")]
    groups: list[GroupAnswer]
    next_first: Annotated[int | None, More(description="Where the next page begins; null on the last one.")]


class ClusterAnswer(TypedDict):
    """Items around one center."""

    size: Ordinal
    mean_distance: float
    labels: Annotated[list[LabelAnswer], More(description="The most frequent ones, at most three.")]
    items: Annotated[list[MemberAnswer], More(description="The typical item first, then the next nearest.")]


class ClustersAnswer(TypedDict):
    """Clusters of all items, the largest first."""

    items: Annotated[int, More(description="Items of the index.")]
    mean_distance: float
    has_settled: bool
    clusters: list[ClusterAnswer]


class LimitsAnswer(TypedDict):
    """The limits that clients need to know."""

    image_bytes: int
    pixels: int
    k: int
    queries: int
    results: int
    page: int


class AboutAnswer(TypedDict):
    """The index: sizes and origin."""

    name: str
    items: int
    distinct_codes: int
    n_bits: Ordinal
    file_bytes: int
    cache_bytes: int | None
    model_id: str | None
    outputs: str | None
    format_version: int
    created: str | None
    revision: int
    added_since_merge: int
    removed_since_merge: int
    search: dict[str, Any]
    labels: int
    has_model: bool
    takes_text: Annotated[bool, More(description="Whether it can be searched by words.")]
    can_write: bool
    limits: LimitsAnswer


class HealthAnswer(TypedDict):
    """How good the codes are for search."""

    n_items: int
    n_bits: int
    distinct_codes: int
    share_in_largest_groups: float
    constant_bits: int
    bit_imbalance: float
    bit_correlation: float | None
    k: int
    tie_at_k: float | None
    center_margin: int | None
    center_spread: float | None
    likely_distance: Annotated[
        int | None,
        More(
            description="Bits up to which two items are rather of one class than of the two nearest ones, by the "
            "model's centers; null without centers."
        ),
    ]
    advice: list[str]
    n_all: Annotated[int, More(description="Items of the index; n_items of them, evenly spaced, were measured.")]
    ones: Annotated[list[float], More(description="The share of ones of each bit.")]


class CenterAnswer(TypedDict):
    """One class center as a point."""

    name: str
    x: float
    y: float
    items: int
    code: Code


class CentersAnswer(TypedDict):
    """The class centers as a map in the plane."""

    n_bits: int
    centers: list[CenterAnswer]
    distance_min: int | None
    distance_mean: float | None
    explained: Annotated[float, More(description="The share of the centers' spread that the plane shows.")]


class BesideFloats(TypedDict):
    """What the float features give where the codes were validated, and what the codes keep of it."""

    float_map: Annotated[
        float | None,
        More(description="What `validation_map` would be by the cosine of the float features, without any code."),
    ]
    kept_share: Annotated[float | None, More(description="`validation_map` over `float_map`.")]
    advice: list[str]


class CardAnswer(BesideFloats):
    """The model; what its folder does not say is null."""

    name: str
    model_id: str
    precision: Any
    method: Any
    method_options: Any
    n_bits: int
    classes: list[str]
    backbone: dict[str, Any]
    preprocessing: Any
    head: Any
    regime: Annotated[
        Any,
        More(
            description="What was trained: `frozen` (the head alone), `fine-tuned` or `scratch` (all of it), or "
            "`two-step` (the backbone as a classifier before, see `tuning`, then the head)."
        ),
    ]
    tuning: Annotated[
        dict[str, Any] | None,
        More(description="How the backbone was tuned before, as a classifier, where training had two steps."),
    ]
    options: Annotated[
        dict[str, Any],
        More(description="How the model was trained; in two steps, epochs, batch size and rate are of the second one."),
    ]
    dataset: Any
    n_train: Any
    n_validation: Any
    selected_epoch: Any
    validation_map: Any
    split_hash: Any
    libraries: Any


class ErrorAnswer(TypedDict):
    """Why a request is refused."""

    code: str
    message: str
    hint: str


class RefusalAnswer(TypedDict):
    """The one form of refusals."""

    error: ErrorAnswer


_ITEM: ItemAnswer = {
    "id": 7,
    "id_text": "7",
    "code": "919c641d8d7240a3",
    "labels": ["wren"],
    "path": "photos/wren/0007.jpg",
    "digest": "ee13e98d78a7b0c1e9a2f4d6083b5c7de1f20a94b8c6d7e5f3a1029384756afe",
    "metadata": {"camera": 3},
    "thumbnail": "/api/v1/items/7/thumbnail?v=4b1d77c30a95",
    "has_original": True,
    "missing": False,
    "trained_on": False,
}
_SEARCH: SearchAnswer = {
    "n_bits": 64,
    "k": 1,
    "ranking": "asymmetric",
    "results": [
        {
            "query": {"id": 7, "id_text": "7", "code": "919c641d8d7240a3"},
            "neighbors": [{"rank": 1, "distance": 0, "weighted_distance": 0.0, **_ITEM}],
        }
    ],
    "timings_ms": {"model": 0.0, "upload": 0.0, "decode": 0.0, "encode": 0.0, "search": 0.412},
}
_PAGE: PageAnswer = {"items": [_ITEM], "next_after": None, "next_after_text": None}
_SAMPLE: SampleAnswer = {"items": [_ITEM]}
_LABELS: LabelsAnswer = {"labels": [{"label": "wren", "items": 120}]}
EXAMPLES: Mapping[Any, Any] = {
    ItemAnswer: _ITEM, SearchAnswer: _SEARCH, PageAnswer: _PAGE, SampleAnswer: _SAMPLE, LabelsAnswer: _LABELS,
}  # fmt: skip
"""One of each answer that deserves one."""

REFUSALS = {
    "unknown_host": "this service is not known as 'evil.example'",
    "token_needed": "this service answers only to those who have its token",
    "forbidden": "pages of other sites may not use this service",
    "not_found": "the index holds no item 99999",
    "no_picture": "item 7 has no file to download",
    "no_model": "images cannot be encoded: no model is at hand that made these codes",
    "no_text": "words cannot be searched by: no model is at hand that made these codes",
    "no_centers": "the model has no centers of classes: its method trains without them, or had no labels",
    "model_unavailable": "the model at birds.model cannot be read",
    "empty_index": "the index is empty",
    "too_slow": "the body of the request did not arrive within 20 s",
    "too_large": "too large (12 MB > 10 MB)",
    "wrong_content_type": "expected multipart/form-data, came text/plain",
    "invalid": "no parameter 'radus' here",
    "not_an_image": "not an image of a known format",
    "head_too_large": "the head of a request has at most 32768 bytes and 100 fields, not more",
    "busy": "64 requests are being worked on",
}
"""A message of each code, for the description."""


class Answer(ABC):
    """How OpenAPI describes one answer."""

    @abstractmethod
    def described(self) -> Schema:
        """Return the description."""


@final
class JsonAnswer(Answer):
    """JSON of a type."""

    def __init__(self, kind: Any) -> None:
        """Take a `TypedDict`."""
        self._kind = kind

    def described(self) -> Schema:
        """Return the schema of the type, with an example where there is one."""
        example = {"example": EXAMPLES[self._kind]} if self._kind in EXAMPLES else {}
        return {"description": "Done.", "content": {JSON: {"schema": schema_of(self._kind) | example}}}


@final
class OtherAnswer(Answer):
    """An answer that is no JSON: of some content types, or without content."""

    def __init__(self, words: str, *content_types: str) -> None:
        """Take what it is, and its content types."""
        self._words, self._types = words, content_types

    def described(self) -> Schema:
        """Return its words and content types."""
        content = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in self._types}
        return {"description": self._words, "content": content} if content else {"description": self._words}


def refused(code: str) -> Schema:
    """Return the schema of a refusal, with an example of a code."""
    example = {"error": {"code": code, "message": REFUSALS[code], "hint": "what to do about it"}}
    return {"schema": {**schema_of(RefusalAnswer), "title": "Error"}, "example": example}
