"""What FastAPI can't see in routes that take the raw request: their bodies, for `/docs` and `/openapi.json`.

Declared here, and checked by the contract suite, because FastAPI's own validation would answer with
other bodies than the contract's, and its response models halve the rate of a small route.
"""

from typing import Any

from pydantic import BaseModel

from shared.answer import JSON, Acknowledged, Failure, Success
from shared.event import Event
from shared.health import Health, Ready
from shared.listing import IssueView, Page, Query

REASONS = {
    400: "The request is not valid: `errors` says where.",
    404: "There is no such issue.",
    413: "The body is larger than 256 KiB.",
    415: "The body is not JSON in UTF-8.",
    503: "The event could not be kept, or nobody can tell: try again after `Retry-After` seconds.",
}


def _route(data: type[BaseModel], *failures: int, **extra: Any) -> dict[str, Any]:
    responses: dict[int | str, dict[str, Any]] = {200: {"model": Success[data]}}  # type: ignore[valid-type]
    responses |= {status: {"model": Failure, "description": REASONS[status]} for status in failures}
    return {"responses": responses, "openapi_extra": extra}


def _inline(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema(by_alias=True)


LOG_EVENT = _route(
    Acknowledged,
    *(400, 413, 415, 503),
    requestBody={"required": True, "content": {JSON: {"schema": _inline(Event)}}},
)
LIST_ISSUES = _route(
    Page,
    *(400, 503),
    parameters=[
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in _inline(Query)["properties"].items()
    ],
)
SHOW_ISSUE = _route(IssueView, 404, 503)
HEALTH = _route(Health)
READY = _route(Ready, 503)
METRICS: dict[str, Any] = {"responses": {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}}
