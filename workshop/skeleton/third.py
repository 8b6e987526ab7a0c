"""A third twin: it answers, and forgets. Make it count; then make it faster than the naive one.

It is started as `python third.py PORT`, with MySQL and Redis running and their ports in the environment.
"""

import sys

from flask import Flask, Response, request

from shared.answer import JSON, Refused, acknowledged, now, success
from shared.db import create_tables, make_engine, ping
from shared.event import PATH, Event, check_head, decoded, parse
from shared.health import Dependencies, Health, mysql_health
from shared.listing import one, page, parse_query
from shared.settings import load

settings = load()
engine = make_engine(settings, settings.pool_size)
create_tables(engine)
app = Flask(__name__)


def keep(event: Event) -> None:
    """Yours: when this returns, the event is on a disk and will be counted, once, whoever else is here."""


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


app.run("127.0.0.1", int(sys.argv[1]), threaded=True)
