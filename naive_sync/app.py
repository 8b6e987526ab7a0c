"""The Flask app: routes parse, call one function, answer."""

from pathlib import Path

from flask import Flask, Response, request
from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]

from naive_sync.dispatch import make_app, read_event
from naive_sync.ingest import ingest
from naive_sync.services import show_services
from naive_sync.throttle import Throttle
from shared import exposition, listing
from shared.answer import JSON, acknowledged, now, success, unavailable
from shared.db import create_tables, make_engine, ping
from shared.event import PATH, parse
from shared.health import Dependencies, Health, Ready, mysql_health
from shared.quota import Quotas
from shared.settings import load

WORKER_BOOT_ERROR = Arbiter.WORKER_BOOT_ERROR
"""The status after which gunicorn gives up: after any other it starts the worker again, without end."""
OPENAPI = Path(__file__).parent.parent / "shared" / "openapi.json"


def create_app() -> Flask:
    settings = load(WORKER_BOOT_ERROR)
    engine = make_engine(settings, settings.pool_size)
    create_tables(engine)
    throttle = Throttle(Quotas(settings))
    # gunicorn starts a process beside the one that it replaces, and with TWINS_WORKERS there are several.
    exposition.serve(settings.host, settings.naive_metrics_port, shared=True)
    app = make_app()

    @app.post(PATH)
    def log_event() -> Response:
        status = ingest(engine, throttle, parse(read_event()))
        return Response(acknowledged(status, now()), mimetype=JSON)

    @app.get("/api/v1/errors")
    def list_issues() -> Response:
        page = listing.page(engine, listing.parse_query(request.query_string))
        return Response(success(page), mimetype=JSON)

    @app.get("/api/v1/errors/<fingerprint:fingerprint>")
    def show_issue(fingerprint: str) -> Response:
        return Response(success(listing.one(engine, fingerprint)), mimetype=JSON)

    @app.get("/api/v1/services")
    def list_services() -> Response:
        return Response(success(show_services(engine, throttle)), mimetype=JSON)

    @app.get("/api/v1/health")
    def health() -> Response:
        mysql = mysql_health(engine, ping(settings))
        state = Health(
            status="up" if mysql.state == "up" else "degraded", dependencies=Dependencies(mysql=mysql)
        )
        return Response(success(state), mimetype=JSON)

    @app.get("/api/v1/ready")
    def ready() -> Response:
        if not ping(settings):
            raise unavailable("MySQL is not available")
        return Response(success(Ready()), mimetype=JSON)

    if settings.show_metrics:

        @app.get("/metrics")
        def show_metrics() -> Response:
            return Response(exposition.text(), content_type=exposition.CONTENT_TYPE)

    if settings.show_docs:

        @app.get("/openapi.json")
        def openapi() -> Response:
            return Response(OPENAPI.read_bytes(), mimetype=JSON)

    return app
