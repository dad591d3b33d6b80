"""The OpenAPI document: made of the declared operations, with the limits in force."""

from collections.abc import Iterable
from typing import Any

import nearbit
from nearbit.service.contract.answers import JSON, Answer, refused
from nearbit.service.contract.kinds import Schema
from nearbit.service.contract.operation import NoBody, Operation
from nearbit.service.settings import Limits

DESCRIPTION = (
    "Search in an index of images by learned binary codes. Distances are in bits; results are ranked by distance, then "
    "by id. Every refusal has the form of `Error`. Where the service has a token, every request for data carries "
    "`Authorization: Bearer TOKEN`."
)
ALWAYS = {400: "unknown_host", 401: "token_needed", 403: "forbidden", 431: "head_too_large", 503: "busy"}
"""What any request may be refused with, by status: an example of the code."""


def document(operations: Iterable[Operation], limits: Limits) -> dict[str, Any]:
    """Return the OpenAPI document of operations."""
    paths: dict[str, Schema] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation, limits)
    return {
        "openapi": "3.1.0",
        "info": {"title": "nearbit", "description": DESCRIPTION, "version": nearbit.__version__},
        "paths": paths,
    }


def _described(operation: Operation, limits: Limits) -> Schema:
    refusals = {status: _refusal(said) for status, said in {**ALWAYS, **operation.refusals}.items()}
    answers = {status: answer.described() for status, answer in operation.answers.items()}
    found: Schema = {
        "summary": operation.words.partition("\n")[0],
        "description": operation.words,
        "operationId": operation.name,
        "responses": {str(status): one for status, one in sorted({**answers, **refusals}.items())},
    }
    parameters = operation.asked.parameters(limits)
    if parameters:
        found["parameters"] = parameters
    if not isinstance(operation.body, NoBody):
        content = {operation.body.content_type: {"schema": operation.body.schema(limits)}}
        found["requestBody"] = {"required": True, "content": content}
    return found


def _refusal(said: str | Answer) -> Schema:
    return {"description": "Refused.", "content": {JSON: refused(said)}} if isinstance(said, str) else said.described()
