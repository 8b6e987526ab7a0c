"""Group commit straight to MySQL: no Redis, no worker, no scheduler; the client still waits for the fsync."""

import asyncio
from collections.abc import Sequence

from fastapi import FastAPI, Request, Response
from sqlalchemy import Engine

from async_dedup.dispatch import ERRORS, HotPathAPI, answer_error, read_body, read_head
from async_dedup.ingest import Added, Ingest
from async_dedup.protocol import short_way
from loadtests.studies.ladder.table import upsert
from shared import exposition, metrics
from shared.answer import JSON, acknowledged
from shared.db import create_tables, make_background_engine
from shared.event import PATH, Event, check_head, parse
from shared.settings import load


class Table:
    """Where a group of events goes instead of Redis; what it does is the same."""

    timeout = 30.0
    """Seconds, as a request of the naive twin waits for MySQL."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def submit(self, events: Sequence[Event], _: float, added: Added) -> None:
        """All are in MySQL when `added` is told: none is left for a digest. Or Refused (503)."""
        loop = asyncio.get_running_loop()

        def work() -> None:
            outcome: int | Exception = 0
            try:
                upsert(self._engine, events)
            except Exception as error:  # noqa: BLE001 - told to those who wait
                outcome = error
            loop.call_soon_threadsafe(added, outcome)

        loop.run_in_executor(None, work)


def create_app() -> FastAPI:
    engine = make_background_engine(load())
    create_tables(engine)
    ingest = Ingest(Table(engine), nudge=lambda: None)
    metrics.show_requests()
    app = HotPathAPI(openapi_url=None)
    for error in ERRORS:
        app.add_exception_handler(error, answer_error)

    @app.post(PATH)
    async def log_event(request: Request) -> Response:
        check_head(*read_head(request.scope))
        kept_at = await ingest(parse(await read_body(request.receive)))
        return Response(acknowledged("saved", kept_at), media_type=JSON)

    @app.get("/api/v1/health")
    async def health() -> Response:
        return Response(b'{"status":"up"}', media_type=JSON)

    @app.get("/metrics")
    def show_metrics(_: Request) -> Response:
        return Response(exposition.text(), headers={"Content-Type": exposition.CONTENT_TYPE})

    app.hot = short_way(ingest, "saved")
    return app
