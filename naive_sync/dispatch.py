"""What stands between gunicorn and the routes: the watch, the error bodies, the reading of a request."""

import re
from http import HTTPStatus
from threading import get_ident
from time import perf_counter

from flask import Flask, Response, g, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.routing import BaseConverter

from shared import metrics
from shared.answer import JSON, Refused
from shared.event import MAX_BODY, check_head, decoded, too_large
from shared.fingerprint import PATTERN
from shared.head import body_ended, too_slow


class FingerprintConverter(BaseConverter):
    regex = PATTERN


def make_app() -> Flask:
    """An app without routes that keeps to the contract: its paths, its error bodies, its metrics."""
    app = Flask("naive_sync", static_folder=None)
    app.url_map.converters["fingerprint"] = FingerprintConverter
    app.url_map.merge_slashes = False
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    metrics.show_requests()
    _watch(app)
    _answer_errors(app)
    return app


def read_event() -> bytes:
    """The body of an event. Raises Refused: 415; 413, without reading the rest; 400 where it breaks off.

    Werkzeug's own limit would cut a chunked body there, and take what is left for the whole.
    """
    encoding = request.headers.get("Content-Encoding")
    check_head(request.headers.get("Content-Type"), request.headers.get("Content-Length"), encoding)
    try:
        body: bytes = request.environ["wsgi.input"].read(MAX_BODY + 1)
    except TimeoutError:
        raise too_slow() from None
    except OSError:
        raise body_ended() from None
    if len(body) > MAX_BODY:
        raise too_large()
    if len(body) < (request.content_length or 0):
        raise body_ended()
    return decoded(body, encoding)


def _answer_errors(app: Flask) -> None:
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


def _watch(app: Flask) -> None:
    """Times every request, under the pattern of its route."""

    @app.before_request
    def start() -> None:
        g.started = perf_counter()
        metrics.in_flight.add(get_ident())
        if request.environ["PATH_INFO"].startswith("//"):  # werkzeug would take it for one slash
            request.url_rule = None
            raise NotFound

    @app.after_request
    def stop(response: Response) -> Response:
        metrics.observe_request(
            _route_pattern(), request.method, response.status_code, perf_counter() - g.started
        )
        return response

    @app.teardown_request
    def done(_: BaseException | None) -> None:
        metrics.in_flight.discard(get_ident())


def _route_pattern() -> str:
    """The route as OpenAPI writes it, `/api/v1/errors/{fingerprint}`."""
    if request.url_rule is None:
        return metrics.UNMATCHED
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", request.url_rule.rule)
