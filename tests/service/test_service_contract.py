"""One declaration of an operation: what it reads, what it refuses and what the document says are the same."""

import asyncio
import json
import re
from pathlib import Path
from typing import Annotated, NotRequired, TypedDict

import pytest
from service_site import png, running
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from nearbit.service.app import OPERATIONS, resources_of
from nearbit.service.contract.answers import JsonAnswer
from nearbit.service.contract.declared import Declared, OneOf, field
from nearbit.service.contract.document import document
from nearbit.service.contract.kinds import Choice, JsonObject, Text, Texts, Whole
from nearbit.service.contract.operation import Call, JsonBody, get, post
from nearbit.service.contract.typed import More, schema_of
from nearbit.service.http.errors import CODES, ApiError
from nearbit.service.settings import Limits, ServiceOptions

FEW = Limits(k=5, queries=1, results=5, page=7, conditions=1)


@pytest.fixture(scope="module")
def few(small):
    """A service of other limits than those that it is shipped with."""
    with running(ServiceOptions(index=small, limits=FEW)) as client:
        client.document = client("GET", "/openapi.json").json
        yield client


def body_schema(contract):
    """Return the properties of the body of a search from several items."""
    content = contract["paths"]["/api/v1/search"]["post"]["requestBody"]["content"]
    return content["application/json"]["schema"]["properties"]


def test_a_limit_that_was_changed_is_described_and_kept(few):
    said = body_schema(few.document)
    assert (said["k"]["maximum"], said["queries"]["maxItems"], said["metadata"]["maxProperties"]) == (5, 1, 1)
    one = {"queries": [{"id": 1}]}
    assert few.search({**one, "k": 5, "metadata": {"camera": 0}}).status == 200
    for wrong, words in (
        ({**one, "k": 6}, "k must be a whole number from 1 to 5, not 6"),
        ({"queries": [{"id": 1}] * 2}, "queries must be a list of 1 to 1 objects"),
        ({**one, "metadata": {"camera": 0, "x": 1}}, "metadata must have at most 1 keys, not 2"),
    ):
        answer = few.search(wrong)
        assert (answer.status, answer.json["error"]["message"]) == (422, words)


NUMBERS = [
    (operation.path, one["name"])
    for operation in OPERATIONS
    for one in operation.asked.parameters(FEW)
    if one["in"] == "query" and one["schema"].get("type") == "integer"
]


@pytest.mark.parametrize(("path", "name"), NUMBERS, ids=[f"{path} {name}" for path, name in NUMBERS])
def test_the_bounds_that_are_described_are_those_that_are_kept(few, path, name):
    (said,) = [one["schema"] for one in few.document["paths"][path]["get"]["parameters"] if one["name"] == name]
    others = [one["name"] for one in few.document["paths"][path]["get"]["parameters"] if one.get("required")]
    needed = "".join(f"{other}=1&" for other in others if other not in (name, "item_id"))
    place = f"{path.replace('{item_id}', '1')}?{needed}{name}="
    for number in (said["minimum"], said["maximum"]):
        answer = few("GET", f"{place}{number}")
        assert answer.status == 200 or answer.code == "no_text", answer
    for number in (said["minimum"] - 1, said["maximum"] + 1):
        answer = few("GET", f"{place}{number}")
        assert (answer.status, answer.code) == (422, "invalid")
        assert answer.json["error"]["hint"]


def test_a_default_that_is_described_is_the_one_that_is_taken(few):
    assert body_schema(few.document)["k"]["default"] == few.search({"queries": [{"id": 1}]}).json["k"] == 5
    assert few.search({"queries": [{"id": 1}], "k": None, "radius": None}).json["k"] == 5


class Asked(Declared):
    """What the operation of these tests is asked."""

    color: str = field(Choice("red", "blue"), "Which color.")
    n: int = field(Whole(1, lambda limits: limits.page), "How many.", default=lambda limits, given: limits.page - 1)
    tags: tuple[str, ...] = field(Texts(), "Any of these.", default=(), called="tag")
    name: str | None = field(Text("^[a-z]+$", "small letters"), "A name.", default=None)
    more: dict[str, object] = field(JsonObject(without=["color"]), "More.", default={}, may_be_null=True)


class Answered(TypedDict):
    """What it answers."""

    n: Annotated[int, More(description="How many.")]
    note: NotRequired[str | None]


@get("/api/v1/paint", Asked, {200: JsonAnswer(Answered)}, {422: "invalid"})
async def paint(call: Call[Asked, None]) -> Response:
    """Paint something.

    In the color that was asked for.
    """
    return Response(json.dumps({"n": call.asked.n}), media_type="application/json")


def answer_of(operation, query):
    """Return the status and the JSON with which an operation answers a GET."""
    sent = []

    async def send(message):
        sent.append(message)

    class Parts:
        options = ServiceOptions(index=Path("x.index"), limits=FEW)

    scope = {"type": "http", "method": "GET", "path": operation.path, "query_string": query, "headers": []}
    asyncio.run(operation.answer(Parts(), {**scope, "path_params": {}}, None, send))
    return sent[0]["status"], json.loads(sent[1]["body"])


def test_a_new_operation_is_one_declaration():
    assert answer_of(paint, b"color=red") == (200, {"n": 6})
    assert answer_of(paint, b"color=blue&n=7&tag=a&tag=b&name=x&more=%7B%7D") == (200, {"n": 7})
    said = document([paint], FEW)["paths"]["/api/v1/paint"]["get"]
    assert (said["summary"], said["operationId"]) == ("Paint something.", "paint")
    assert [(one["name"], one["required"]) for one in said["parameters"]] == [
        ("color", True), ("n", False), ("tag", False), ("name", False), ("more", False),
    ]  # fmt: skip
    assert said["parameters"][0]["schema"] == {"type": "string", "enum": ["red", "blue"]}
    assert said["parameters"][1]["schema"] == {"type": "integer", "minimum": 1, "maximum": 7, "default": 6}
    assert said["responses"]["200"]["content"]["application/json"]["schema"] == {
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": 0, "description": "How many."},
            "note": {"type": ["string", "null"]},
        },
        "required": ["n"],
        "additionalProperties": False,
    }
    assert sorted(said["responses"]) == ["200", "400", "401", "403", "422", "431", "503"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (b"", "color is missing"),
        (b"color=green", "color must be red or blue, not 'green'"),
        (b"color=red&n=8", "n must be a whole number from 1 to 7, not 8"),
        (b"color=red&name=A", "name must be small letters, not 'A'"),
        (b"color=red&color=red", "the parameter color came more than once"),
        (b"color=red&tags=a", "no parameter 'tags' here"),
        (b'color=red&more={"color":1}', "more must be a JSON object without color"),
    ],
)
def test_what_a_declaration_does_not_allow_is_refused(query, words):
    with pytest.raises(ApiError, match=re.escape(words)):
        answer_of(paint, query)


class OfColor(Declared):
    """One form of a part."""

    color: str = field(Choice("red", "blue"), "")


class OfName(Declared):
    """Another one."""

    name: str = field(Text(), "")


class Parts(Declared):
    """A body of several parts."""

    parts: tuple[OfColor | OfName, ...] = field(
        OneOf(OfColor, OfName, most=2, one="a part has a color or a name", example='[{"color": "red"}]'), ""
    )


def body_of(value):
    """Return what is read from a JSON body."""

    async def receive():
        return {"type": "http.request", "body": json.dumps(value).encode()}

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", b"application/json")]}
    return asyncio.run(JsonBody(Parts).read(Request(scope, receive), FEW))


def test_the_forms_of_a_body_are_told_apart_by_their_fields():
    assert body_of({"parts": [{"color": "red"}, {"name": "x"}]}).parts == (OfColor(color="red"), OfName(name="x"))
    for value, words in (
        ({}, "parts must be a list of 1 to 2 objects"),
        ({"parts": [{"name": "x"}] * 3}, "parts must be a list of 1 to 2 objects"),
        ({"parts": [{"color": "red", "name": "x"}]}, "a part has a color or a name"),
        ({"parts": [{"color": 3}]}, "color must be red or blue, not int"),
        ({"parts": [{"name": 3}]}, "name must be text, not int"),
        ({"part": []}, "no field 'part' here"),
    ):
        with pytest.raises(ApiError, match=re.escape(words)):
            body_of(value)


def test_a_declaration_of_a_name_that_is_taken_is_an_error():
    with pytest.raises(TypeError, match="cannot have a field 'example'"):

        class Wrong(Declared):
            example: str = field(Text(), "")


def test_what_may_be_null_says_so():
    class Maybe(Declared):
        color: str | None = field(Choice("red"), "", default=None, may_be_null=True)
        n: int | None = field(Whole(0, 1), "", default=None, may_be_null=True)

    said = Maybe.schema(FEW)["properties"]
    assert said["color"] == {"anyOf": [{"type": "string", "enum": ["red"]}, {"type": "null"}]}
    assert said["n"]["type"] == ["integer", "null"]
    assert Maybe.of_json({"color": None, "n": None}, FEW) == Maybe.of_json({}, FEW)


def test_a_type_that_json_cannot_say_is_no_answer():
    with pytest.raises(TypeError, match="no JSON Schema is known of"):
        schema_of(set[int])


def test_every_answer_is_as_it_is_described(writable):
    validator = pytest.importorskip("jsonschema_rs", reason="needs jsonschema-rs, which schemathesis brings")
    contract = writable("GET", "/openapi.json", headers=writable.bearer).json

    def check(method, path, answer):
        said = contract["paths"][path][method]["responses"][str(answer.status)]["content"]["application/json"]
        validator.validate(said["schema"], answer.json)

    for operation in OPERATIONS:
        if operation.method == "GET" and operation.path.startswith("/api"):
            answer = writable("GET", operation.path.replace("{item_id}", "1"), headers=writable.bearer)
            if answer.headers["content-type"] == "application/json":
                check("get", operation.path, answer)
    both = {"queries": [{"id": 1}, {"code": "4f20"}]}
    check("post", "/api/v1/search", writable.search(both, **writable.bearer))
    for path in ("search/image", "items"):
        check("post", f"/api/v1/{path}", writable.form(path, png((9, 9, 9)), headers=writable.bearer))
    ranked = writable.form("search/image", png((9, 9, 9)), [("ranking", "asymmetric")], headers=writable.bearer)
    check("post", "/api/v1/search/image", ranked)


def test_no_operation_stands_in_the_way_of_another(site):
    resources = resources_of(site.service)
    assert len(resources) == len({one.path for one in OPERATIONS})
    for operation in OPERATIONS:
        scope = {"type": "http", "method": operation.method, "path": operation.path.replace("{item_id}", "1")}
        first = next(one for one in resources if Route(one.path, one).matches(scope)[0] is Match.FULL)
        assert first.path == operation.path
    assert len({operation.name for operation in OPERATIONS}) == len(OPERATIONS)


@pytest.mark.parametrize(
    ("path", "methods"), [("items", "GET, HEAD, POST"), ("items/1", "DELETE, GET, HEAD"), ("search", "POST")]
)
def test_a_wrong_method_is_told_the_right_ones(site, path, methods):
    answer = site("PUT", f"/api/v1/{path}")
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert ", ".join(sorted(answer.headers["allow"].split(", "))) == methods


def test_the_page_of_the_api_names_every_operation_and_refusal():
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    for operation in OPERATIONS:
        path = re.escape(operation.path).replace(r"\{item_id\}", r"\d+").removeprefix("/api/v1")
        assert re.search(rf"{path}\b", page), operation.path
        for status, said in operation.refusals.items():
            assert f"| {status} |" in page
            assert not isinstance(said, str) or f"`{said}`" in page, said
    assert set(CODES) <= {int(found) for found in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}


def test_one_declaration_may_be_a_post():
    @post("/api/v1/paint", JsonBody(Parts), {200: JsonAnswer(Answered)}, {422: "invalid"})
    async def mix(call: Call[Declared, Parts]) -> Response:
        """Mix colors."""
        return Response(status_code=200)

    said = document([paint, mix], FEW)["paths"]["/api/v1/paint"]
    assert sorted(said) == ["get", "post"]
    schema = said["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert (schema["required"], schema["properties"]["parts"]["maxItems"]) == (["parts"], 2)
