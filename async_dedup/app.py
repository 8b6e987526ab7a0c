"""The FastAPI app: routes parse, call one function, answer."""

import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from time import perf_counter

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from redis import RedisError
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from async_dedup import docs
from async_dedup.buffer import AsyncBuffer, Buffer, BufferState
from async_dedup.digest import digest_queue, enqueue_digest
from async_dedup.ingest import Ingest
from shared import listing, metrics, pipeline_metrics
from shared.answer import JSON, Refused, acknowledged, success, unavailable
from shared.db import make_engine, ping
from shared.event import MAX_BODY, check_head, parse, too_large
from shared.fingerprint import PATTERN
from shared.health import Dependencies, Health, MySQL, Ready, Redis, mysql_health
from shared.settings import Settings

IDLE_INTERVALS = 3
"""Flush intervals without a flush, after which this twin no longer calls itself ready."""


class FingerprintConvertor(StringConvertor):
    regex = PATTERN


register_url_convertor("fingerprint", FingerprintConvertor())


def create_app() -> FastAPI:
    settings = Settings()
    engine = make_engine(settings, settings.pool_size)
    buffer = Buffer(settings)
    queue = digest_queue(settings, settings.redis_timeout)
    async_buffer = AsyncBuffer(settings)
    ingest = Ingest(async_buffer, lambda: enqueue_digest(queue))
    started = time.time()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await async_buffer.close()

    app = FastAPI(title="Hot Path Twins", version="1", redirect_slashes=False, lifespan=lifespan)
    app.add_middleware(Watch)
    answer_errors(app)

    @app.post("/api/v1/errors/log", **docs.LOG_EVENT)
    async def log_event(request: Request) -> Response:
        check_head(request.headers.get("content-type"), request.headers.get("content-length"))
        await ingest(parse(await read_body(request)))
        return Response(acknowledged("queued"), media_type=JSON)

    # The routes below are plain functions: FastAPI runs them in threads, so they may block.

    @app.get("/api/v1/errors", **docs.LIST_ISSUES)
    def list_issues(request: Request) -> Response:
        page = listing.page(engine, listing.parse_query(request.scope["query_string"]))
        add_pending(buffer, page.issues)
        return Response(success(page), media_type=JSON)

    @app.get("/api/v1/errors/{fingerprint:fingerprint}", **docs.SHOW_ISSUE)
    def show_issue(fingerprint: str) -> Response:
        issue = listing.one(engine, fingerprint)
        add_pending(buffer, [issue])
        return Response(success(issue), media_type=JSON)

    @app.get("/api/v1/health", **docs.HEALTH)
    def health() -> Response:
        mysql = mysql_health(engine, ping(settings))
        return Response(success(check_health(mysql, buffer, started)), media_type=JSON)

    @app.get("/api/v1/ready", **docs.READY)
    def ready() -> Response:
        age = flush_age(buffer.state(), started)
        if age > IDLE_INTERVALS * settings.flush_interval:
            raise unavailable(f"The last flush was {age:.0f} s ago")
        return Response(success(Ready()), media_type=JSON)

    @app.get("/metrics", **docs.METRICS)
    def show_metrics() -> Response:
        with contextlib.suppress(RedisError):  # the rest of the metrics is worth more without Redis
            observe(buffer.state(), started)
        body, content_type = metrics.exposition()
        return Response(body, headers={"Content-Type": content_type})

    answer_head(app)
    return app


def answer_head(app: FastAPI) -> None:
    """HEAD wherever there is GET, as Flask does it by itself; not a line of its own in the document."""
    app.openapi()  # is kept from here on
    for route in app.routes:
        if isinstance(route, APIRoute) and route.methods and "GET" in route.methods:
            route.methods.add("HEAD")


async def read_body(request: Request) -> bytes:
    """Raises Refused (413) as soon as the body is too large, without reading the rest."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise too_large()
    return bytes(body)


def add_pending(buffer: Buffer, issues: list[listing.IssueView]) -> None:
    pending = buffer.pending([issue.fingerprint for issue in issues])
    for issue, events in zip(issues, pending, strict=True):
        issue.pending = events


def flush_age(state: BufferState, started: float) -> float:
    """Seconds since the last flush, or since this process started if that is later."""
    return max(time.time() - max(state.flushed_at, started), 0.0)


def check_health(mysql: MySQL, buffer: Buffer, started: float) -> Health:
    try:
        state = buffer.state()
    except RedisError:
        return Health(status="degraded", dependencies=Dependencies(mysql=mysql, redis=Redis(state="down")))
    return Health(
        status="up" if mysql.state == "up" else "degraded",
        dependencies=Dependencies(mysql=mysql, redis=Redis(state="up")),
        flush_age_seconds=flush_age(state, started),
        queue_age_seconds=state.queue_age,
    )


def observe(state: BufferState, started: float) -> None:
    """What only Redis knows is read when it is asked for, not kept up to date on the hot path."""
    pipeline_metrics.buffer_fingerprints.set(state.fingerprints)
    pipeline_metrics.buffer_batches.set(state.batches)
    pipeline_metrics.flush_age.set(flush_age(state, started))
    pipeline_metrics.queue_depth.set(state.first_events)
    pipeline_metrics.queue_age.set(state.queue_age)


def answer_errors(app: FastAPI) -> None:
    """Every failure gets the contract's error body."""

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:
        return Response(error.body(), error.status, error.headers, JSON)

    @app.exception_handler(RedisError)
    async def redis_error(request: Request, _: RedisError) -> Response:
        return await refused(request, unavailable("Redis is not available"))

    @app.exception_handler(ClientDisconnect)
    async def hung_up(request: Request, _: ClientDisconnect) -> Response:
        return await refused(request, Refused(400, "The body ended too early"))

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        phrase = HTTPStatus(error.status_code).phrase
        return await refused(request, Refused(error.status_code, phrase, headers=error.headers))

    @app.exception_handler(Exception)
    async def bug(request: Request, _: Exception) -> Response:
        return await refused(request, Refused(500, "Internal Server Error"))


class Watch:
    """Times every request, under its route's pattern. Plain ASGI: Starlette's base costs a task."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started = perf_counter()
        status = 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        metrics.http_requests_in_flight.inc()
        try:
            await self.app(scope, receive, watch)
        finally:
            metrics.http_requests_in_flight.dec()
            route = scope["route"].path_format if "route" in scope else metrics.UNMATCHED
            metrics.observe_request(route, scope["method"], status, perf_counter() - started)
