"""The FastAPI app: routes parse, call one function, answer."""

import asyncio
import contextlib
import gc
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from redis import RedisError
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.routing import Route

from async_dedup import docs, services
from async_dedup.buffer import Buffer
from async_dedup.connection import SPARE_DESCRIPTORS, Connection
from async_dedup.digest import digest_queue, enqueue_digest
from async_dedup.dispatch import ERRORS, HotPathAPI, answer_error, apart, read_body, read_head
from async_dedup.group_buffer import GroupBuffer
from async_dedup.ingest import Ingest
from async_dedup.known import Lookup
from async_dedup.limits import Limits
from async_dedup.pending import add_pending
from async_dedup.protocol import answer_body, short_way
from async_dedup.status import check_health, observe, reasons_not_ready
from async_dedup.stores import Stores
from async_dedup.wanted import tell_again
from shared import exposition, listing, metrics
from shared.answer import JSON, success, unavailable
from shared.db import make_engine, ping
from shared.event import PATH, check_head, decoded, parse
from shared.fingerprint import PATTERN
from shared.health import Ready, mysql_health
from shared.quota import Quotas
from shared.settings import load


class FingerprintConvertor(StringConvertor):
    regex = PATTERN


register_url_convertor("fingerprint", FingerprintConvertor())


def create_app() -> FastAPI:
    settings = load()
    engine = make_engine(settings, settings.pool_size)
    buffer, quotas = Buffer(settings), Quotas(settings)
    limits = Limits(settings, quotas, buffer) if quotas.is_any else None
    async_buffer = GroupBuffer(settings, limits)
    stores = Stores(settings, async_buffer, limits)
    queue = digest_queue(settings, settings.redis_timeout)
    Connection.spare_descriptors = SPARE_DESCRIPTORS + settings.pool_size
    group = Ingest(stores, lambda: enqueue_digest(queue))
    ingest = (
        Lookup(settings, group, limits.known, limits.may_be_new) if limits and quotas.has_budgets else group
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        keep_collector_away()
        work = [tell_again(buffer, async_buffer), stores.watch()]
        if limits:
            await limits.throttle.start()
            work.append(limits.throttle.watch())
        tasks = [asyncio.create_task(each) for each in work]
        yield
        for task in tasks:
            task.cancel()
        if limits:
            await limits.throttle.close()
        await stores.close()

    metrics.show_requests()
    app = HotPathAPI(
        title="Hot Path Twins",
        version="1",
        description=docs.DESCRIPTION,
        redirect_slashes=False,
        lifespan=lifespan,
        openapi_url="/openapi.json" if settings.show_docs else None,
        docs_url=None,
        redoc_url=None,
    )
    for error in ERRORS:
        app.add_exception_handler(error, answer_error)

    @app.post(PATH, **docs.LOG_EVENT)
    async def log_event(request: Request) -> Response:
        content_type, content_length, content_encoding = read_head(request.scope)
        check_head(content_type, content_length, content_encoding)
        body = decoded(await read_body(request.receive), content_encoding)
        kept_at = await ingest(parse(body))
        return Response(answer_body("queued", kept_at), media_type=JSON)

    # The routes below are plain functions: FastAPI runs them in threads, 40 at a time, so they may block.

    @app.get("/api/v1/errors", **docs.LIST_ISSUES)
    def list_issues(request: Request) -> Response:
        page = listing.page(engine, listing.parse_query(request.scope["query_string"]))
        add_pending(engine, buffer, page.issues)
        return Response(success(page), media_type=JSON)

    @app.get("/api/v1/errors/{fingerprint:fingerprint}", **docs.SHOW_ISSUE)
    def show_issue(request: Request) -> Response:
        issue = listing.one(engine, request.path_params["fingerprint"])
        add_pending(engine, buffer, [issue])
        return Response(success(issue), media_type=JSON)

    @app.get("/api/v1/services", **docs.LIST_SERVICES)
    def list_services() -> Response:
        return Response(success(services.view(limits, buffer)), media_type=JSON)

    @app.get("/api/v1/health", **docs.HEALTH)
    @apart
    def health() -> Response:
        mysql = mysql_health(engine, ping(settings))
        return Response(success(check_health(mysql, buffer, stores)), media_type=JSON)

    @app.get("/api/v1/ready", **docs.READY)
    @apart
    def ready() -> Response:
        if reasons := reasons_not_ready(buffer, stores, settings):
            raise unavailable(reasons)
        return Response(success(Ready()), media_type=JSON)

    if settings.show_metrics:

        @app.get("/metrics", **docs.METRICS)
        @apart
        def show_metrics() -> Response:
            with contextlib.suppress(RedisError):  # the rest of the metrics is worth more without Redis
                observe(buffer.state(), settings.flush_interval)
            return Response(exposition.text(), headers={"Content-Type": exposition.CONTENT_TYPE})

    if settings.show_docs:
        docs.serve_docs(app)
    app.hot = short_way(ingest, "queued")
    finish_routes(app)
    return app


def keep_collector_away() -> None:
    """What was built at start stays for good: to look at it again and again cost 8 % of the CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


def finish_routes(app: FastAPI) -> None:
    """HEAD wherever there is GET, as Flask does it by itself; and nothing behind what a path is to be."""
    app.openapi()  # is kept from here on: HEAD gets no line of its own in the document
    for route in app.routes:
        if isinstance(route, APIRoute) and route.methods and "GET" in route.methods:
            route.methods.add("HEAD")
        if isinstance(route, Route):  # Starlette's `$` also matches before a line feed
            route.path_regex = re.compile(route.path_regex.pattern.removesuffix("$") + r"\Z")
