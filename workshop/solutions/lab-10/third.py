"""A third twin: those who wait share a commit. One thread writes all events of a moment in one statement."""

import sys
from collections import Counter
from queue import Empty, SimpleQueue
from threading import Event as Done
from threading import Thread

from flask import Flask, Response, request
from sqlalchemy.dialects.mysql import insert

from shared.answer import JSON, Refused, acknowledged, now, success, unavailable
from shared.db import create_tables, make_engine, ping
from shared.event import PATH, Event, check_head, decoded, parse
from shared.health import Dependencies, Health, mysql_health
from shared.listing import one, page, parse_query
from shared.model import Issue
from shared.settings import load

settings = load()
engine = make_engine(settings, settings.pool_size)
create_tables(engine)
app = Flask(__name__)


class Waiting:
    def __init__(self, event: Event) -> None:
        self.event = event
        self.done = Done()
        self.error: Exception | None = None


queue: SimpleQueue[Waiting] = SimpleQueue()
_insert = insert(Issue)
UPSERT = _insert.on_duplicate_key_update(
    times_seen=Issue.times_seen + _insert.inserted.times_seen, last_seen=_insert.inserted.last_seen
)


def write_groups() -> None:
    while True:
        group = [queue.get()]
        try:
            while True:
                group.append(queue.get_nowait())
        except Empty:
            pass
        try:
            write([waiting.event for waiting in group])
        except Exception as error:  # noqa: BLE001 - whoever waits is told
            for waiting in group:
                waiting.error = error
        for waiting in group:
            waiting.done.set()


def write(events: list[Event]) -> None:
    seen_at = now()
    counts = Counter(event.fingerprint for event in events)
    rows = [
        {
            "fingerprint": event.fingerprint,
            "service": event.service,
            "message": event.message,
            "stack_trace": event.stack_trace,
            "times_seen": counts[event.fingerprint],
            "first_seen": seen_at,
            "last_seen": seen_at,
        }
        for event in {each.fingerprint: each for each in events}.values()
    ]
    with engine.begin() as connection:
        connection.execute(UPSERT, rows)


def keep(event: Event) -> None:
    waiting = Waiting(event)
    queue.put(waiting)
    waiting.done.wait()
    if waiting.error:
        raise unavailable("The event was not kept") from waiting.error


def read() -> Event:
    """All of the body comes first: who still sends it does not see an answer."""
    body, head = request.get_data(), request.headers
    check_head(head.get("Content-Type"), head.get("Content-Length"), head.get("Content-Encoding"))
    return parse(decoded(body, head.get("Content-Encoding")))


@app.post(PATH)
def log_event() -> Response:
    keep(read())
    return Response(acknowledged("saved", now()), mimetype=JSON)


@app.get("/api/v1/errors")
def list_issues() -> Response:
    return Response(success(page(engine, parse_query(request.query_string))), mimetype=JSON)


@app.get("/api/v1/errors/<fingerprint>")
def show_issue(fingerprint: str) -> Response:
    return Response(success(one(engine, fingerprint)), mimetype=JSON)


@app.get("/api/v1/health")
def health() -> Response:
    mysql = mysql_health(engine, ping(settings))
    return Response(success(Health(status="up", dependencies=Dependencies(mysql=mysql))), mimetype=JSON)


@app.errorhandler(Refused)
def refused(error: Refused) -> Response:
    return Response(error.body(), error.status, error.headers, mimetype=JSON)


Thread(target=write_groups, daemon=True).start()
app.run("127.0.0.1", int(sys.argv[1]), threaded=True)
