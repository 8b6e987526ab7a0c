"""What FastAPI can't see in routes that take the raw request: their bodies, for `/docs` and `/openapi.json`.

Declared here, and checked by the contract suite, because FastAPI's own validation would answer with
other bodies than the contract's, and its response models halve the rate of a small route.
"""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse
from pydantic import BaseModel

from shared.answer import JSON, Acknowledged, Failure, Problem, Refused, Success, unavailable
from shared.event import Event, too_large
from shared.head import expectation_failed, head_too_large, too_slow
from shared.health import Health, Ready
from shared.listing import IssueView, Page, Query
from shared.quota import Quota, throttled
from shared.services import Services

DESCRIPTION = "Error reports in, deduplicated issues out. Every rule in words: docs/contract.md."
REASONS = {
    400: "The request is not valid: `errors` says where.",
    404: "There is no such issue.",
    408: "Head or body took more than 10 s.",
    413: "The body is larger than 256 KiB.",
    415: "The body is not JSON in UTF-8, or packed in another way than gzip.",
    429: "The service sends more than it may: try again after `Retry-After` seconds; it was not counted.",
    417: "An `Expect` other than `100-continue`.",
    431: "Request line and headers are larger than 16 KiB.",
    503: "The event could not be kept, or nobody can tell: try again after `Retry-After` seconds.",
}


EXAMPLES: dict[int, Refused] = {
    400: Refused(400, "The event is not valid", [Problem(field="message", reason="Field required")]),
    404: Refused(404, "There is no issue with this fingerprint"),
    408: too_slow(),
    413: too_large(),
    415: Refused(415, "Content-Type must be application/json, in UTF-8"),
    417: expectation_failed(),
    429: throttled(Quota(100.0, 200, 0), 0.01),
    431: head_too_large(),
    503: unavailable("The event could not be kept"),
}


def _route(
    summary: str, description: str, data: type[BaseModel], *failures: int, **extra: Any
) -> dict[str, Any]:
    responses: dict[int | str, dict[str, Any]] = {200: {"model": Success[data]}}  # type: ignore[valid-type]
    responses |= {status: _failure(status) for status in failures}
    return {
        "summary": summary,
        "description": description,
        "responses": responses,
        "openapi_extra": extra,
    }


def _failure(status: int) -> dict[str, Any]:
    example = json.loads(EXAMPLES[status].body()) | {"timestamp": "2026-01-31T12:00:00.000000Z"}
    return {
        "model": Failure,
        "description": REASONS[status],
        "content": {JSON: {"example": example}},
    }


def _inline(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema(by_alias=True)


LOG_EVENT = _route(
    "Report an error",
    "200 means that the event is kept on disk: in MySQL (`saved`), or where it will come from (`queued`).",
    Acknowledged,
    *(400, 408, 413, 415, 417, 429, 431, 503),
    requestBody={"required": True, "content": {JSON: {"schema": _inline(Event)}}},
)
LIST_ISSUES = _route(
    "List issues",
    "The newest, or most often seen, first. `next_cursor` asks for the page behind; null on the last one.",
    Page,
    *(400, 503),
    parameters=[
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in _inline(Query)["properties"].items()
    ],
)
SHOW_ISSUE = _route(
    "Show one issue",
    "By its fingerprint: 64 hexadecimal digits.",
    IssueView,
    *(404, 503),
    parameters=[{"name": "fingerprint", "in": "path", "required": True, "schema": {"type": "string"}}],
)
LIST_SERVICES = _route(
    "List services",
    "Those that have a limit or a budget: what they have sent, and what they have left.",
    Services,
    503,
)
HEALTH = _route(
    "Show the state of all parts", "Always 200; `status` is `degraded` where a dependency is away.", Health
)
READY = _route("May requests be sent here?", "503 says why not.", Ready, 503)
METRICS: dict[str, Any] = {
    "summary": "Show metrics",
    "description": "In Prometheus's text format.",
    "responses": {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
}


def serve_docs(app: FastAPI) -> None:
    """`/docs`, with Swagger UI's files from a package: it works without a network."""
    spec = find_spec("flask_swagger_ui")  # not imported: it would bring Flask along
    files = Path(str(spec and spec.origin)).parent / "dist"
    script, style, icon = (f"/docs/{name}" for name in ASSETS)

    @app.get("/docs", include_in_schema=False)
    def show_docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=app.title,
            swagger_js_url=script,
            swagger_css_url=style,
            swagger_favicon_url=icon,
        )

    @app.get("/docs/{name}", include_in_schema=False)
    def show_asset(name: str) -> FileResponse:
        if name not in ASSETS:
            raise Refused(404, "Not Found")
        return FileResponse(files / name)


ASSETS = ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png")
