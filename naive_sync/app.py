"""The Flask app: routes parse, call one function, answer."""

import re
from http import HTTPStatus
from pathlib import Path
from threading import get_ident
from time import perf_counter

from flask import Flask, Response, g, request
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter

from naive_sync.ingest import ingest
from shared import exposition, listing, metrics
from shared.answer import JSON, Refused, acknowledged, now, success, unavailable
from shared.db import create_tables, make_engine, ping
from shared.event import MAX_BODY, PATH, check_head, parse, too_large
from shared.fingerprint import PATTERN
from shared.health import Dependencies, Health, Ready, mysql_health
from shared.settings import Settings

OPENAPI = Path(__file__).parent.parent / "shared" / "openapi.json"


class FingerprintConverter(BaseConverter):
    regex = PATTERN


def create_app() -> Flask:
    settings = Settings()
    engine = make_engine(settings, settings.pool_size)
    create_tables(engine)
    # gunicorn starts a process beside the one that it replaces, and with WORKERS there are several.
    exposition.serve(settings.host, settings.naive_metrics_port, shared=True)
    app = Flask(__name__, static_folder=None)
    app.url_map.converters["fingerprint"] = FingerprintConverter
    app.url_map.merge_slashes = False
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    metrics.show_requests()
    watch(app)
    answer_errors(app)

    @app.post(PATH)
    def log_event() -> Response:
        check_head(request.headers.get("Content-Type"), request.headers.get("Content-Length"))
        ingest(engine, parse(read_body()))
        return Response(acknowledged("saved", now()), mimetype=JSON)

    @app.get("/api/v1/errors")
    def list_issues() -> Response:
        page = listing.page(engine, listing.parse_query(request.query_string))
        return Response(success(page), mimetype=JSON)

    @app.get("/api/v1/errors/<fingerprint:fingerprint>")
    def show_issue(fingerprint: str) -> Response:
        return Response(success(listing.one(engine, fingerprint)), mimetype=JSON)

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

    @app.get("/metrics")
    def show_metrics() -> Response:
        return Response(exposition.text(), content_type=exposition.CONTENT_TYPE)

    @app.get("/openapi.json")
    def openapi() -> Response:
        return Response(OPENAPI.read_bytes(), mimetype=JSON)

    return app


def read_body() -> bytes:
    """Raises Refused (413) where the body is too large, without reading the rest; 400 where it breaks off.

    Werkzeug's own limit would cut a chunked body there, and take what is left for the whole.
    """
    try:
        body: bytes = request.environ["wsgi.input"].read(MAX_BODY + 1)
    except (OSError, ParseException):
        raise Refused(400, "The body ended too early") from None
    if len(body) > MAX_BODY:
        raise too_large()
    if len(body) < (request.content_length or 0):
        raise Refused(400, "The body ended too early")
    return body


def answer_errors(app: Flask) -> None:
    """Every failure gets the contract's error body."""

    @app.errorhandler(Refused)
    def refused(error: Refused) -> Response:
        return Response(error.body(), error.status, error.headers, mimetype=JSON)

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        headers = {name: value for name, value in error.get_headers() if name == "Allow"}
        status = HTTPStatus(error.code or 500)
        return refused(Refused(status, status.phrase, headers=headers))

    @app.errorhandler(SQLAlchemyError)
    def database_error(_: SQLAlchemyError) -> Response:
        app.logger.exception("The event was not kept")  # flaw 2 ends here
        return refused(Refused(500, "Internal Server Error"))


def watch(app: Flask) -> None:
    """Times every request, under the pattern of its route."""

    @app.before_request
    def start() -> None:
        g.started = perf_counter()
        metrics.in_flight.add(get_ident())

    @app.after_request
    def stop(response: Response) -> Response:
        metrics.observe_request(
            route_pattern(), request.method, response.status_code, perf_counter() - g.started
        )
        return response

    @app.teardown_request
    def done(_: BaseException | None) -> None:
        metrics.in_flight.discard(get_ident())


def route_pattern() -> str:
    """The route as OpenAPI writes it, `/api/v1/errors/{fingerprint}`."""
    if request.url_rule is None:
        return metrics.UNMATCHED
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", request.url_rule.rule)
