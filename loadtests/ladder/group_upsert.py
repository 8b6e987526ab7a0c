"""Group commit straight to MySQL: no Redis, no worker, no scheduler; the client still waits for the fsync."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from fastapi import FastAPI, Request, Response
from sqlalchemy import Engine
from sqlalchemy.dialects.mysql import insert
from starlette.types import Receive, Scope

from async_dedup.dispatch import ERRORS, HotPathAPI, answer_error, read_body, read_head
from async_dedup.ingest import Ingest
from shared import metrics
from shared.answer import JSON, acknowledged, now
from shared.db import create_tables, make_background_engine, or_unavailable, transact
from shared.event import PATH, Event, check_head, parse
from shared.model import Issue
from shared.settings import Settings

_insert = insert(Issue)
UPSERT = _insert.on_duplicate_key_update(
    times_seen=Issue.times_seen + _insert.inserted.times_seen, last_seen=_insert.inserted.last_seen
)


class Table:
    """Where a group of events goes instead of Redis; what it does is the same."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def add(self, events: Sequence[Event]) -> int:
        """All are in MySQL when this returns: none is left for a digest. Raises Refused (503)."""
        await asyncio.to_thread(self._write, events)
        return 0

    def _write(self, events: Sequence[Event]) -> None:
        seen_at = now().isoformat(" ")
        counts = Counter(event.fingerprint for event in events)
        firsts = {event.fingerprint: event for event in reversed(events)}
        rows = [
            {
                "fingerprint": fingerprint,
                "service": event.service,
                "message": event.message,
                "stack_trace": event.stack_trace,
                "times_seen": counts[fingerprint],
                "first_seen": seen_at,
                "last_seen": seen_at,
            }
            for fingerprint, event in sorted(firsts.items())
        ]
        with or_unavailable():
            transact(self._engine, lambda connection: connection.execute(UPSERT, rows))


def create_app() -> FastAPI:
    engine = make_background_engine(Settings())
    create_tables(engine)
    ingest = Ingest(Table(engine), nudge=lambda: None)
    app = HotPathAPI(openapi_url=None)
    for error in ERRORS:
        app.add_exception_handler(error, answer_error)

    async def accept(scope: Scope, receive: Receive) -> bytes:
        check_head(*read_head(scope))
        await ingest(parse(await read_body(receive)))
        return acknowledged("saved")

    @app.get("/api/v1/health")
    async def health() -> Response:
        return Response(b'{"status":"up"}', media_type=JSON)

    @app.get("/metrics")
    def show_metrics(_: Request) -> Response:
        body, content_type = metrics.exposition()
        return Response(body, headers={"Content-Type": content_type})

    app.hot = {PATH: accept}
    return app
