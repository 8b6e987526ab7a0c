"""What stands between uvicorn and the routes: the short way to the hot one, the watch, the error bodies."""

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from time import perf_counter

from fastapi import FastAPI, Request, Response
from redis import OutOfMemoryError, RedisError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from shared import metrics
from shared.answer import JSON, Refused, unavailable
from shared.event import MAX_BODY, too_large

log = logging.getLogger(__name__)

Route = Callable[[Request], Awaitable[Response]]


class HotPathAPI(FastAPI):
    """FastAPI, but a POST to a path in `hot` goes straight to its function.

    FastAPI's own way there costs more than all that the function does. Measured with wrk, 50 connections,
    one core: uvicorn alone 62 us of CPU for each request, with a FastAPI route that does nothing 235 us.
    The hot routes are declared as all others are, so that documents and other methods work as ever.
    """

    hot: dict[str, Route]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        started = perf_counter()
        watched = Watched(send)
        function = self.hot.get(scope["path"]) if scope["method"] == "POST" else None
        metrics.http_requests_in_flight.inc()
        try:
            if function:
                response = await _answer(function, Request(scope, receive))
                await response(scope, receive, watched)
            else:
                await super().__call__(scope, receive, watched)
        finally:
            metrics.http_requests_in_flight.dec()
            route = scope["path"] if function else _pattern(scope)
            metrics.observe_request(route, scope["method"], watched.status, perf_counter() - started)


class Watched:
    """A `send` that remembers the status it has sent."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 500

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


async def _answer(function: Route, request: Request) -> Response:
    try:
        return await function(request)
    except Exception as error:  # noqa: BLE001 - each gets the contract's body
        return await answer_error(request, error)


async def answer_error(_: Request, error: Exception) -> Response:
    """Every failure gets the contract's error body."""
    refused = _refused(error)
    if refused.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("A bug", exc_info=error)
    return Response(refused.body(), refused.status, refused.headers, JSON)


def _refused(error: Exception) -> Refused:
    match error:
        case Refused():
            return error
        case OutOfMemoryError():
            return unavailable("Redis is full")
        case RedisError():
            return unavailable("Redis is not available")
        case ClientDisconnect():
            return Refused(400, "The body ended too early")
        case HTTPException(status_code=status, headers=headers):
            return Refused(status, HTTPStatus(status).phrase, headers=headers)
        case _:
            return Refused(500, HTTPStatus.INTERNAL_SERVER_ERROR.phrase)


ERRORS = (Refused, RedisError, ClientDisconnect, HTTPException, Exception)


def _pattern(scope: Scope) -> str:
    """The route as OpenAPI writes it, `/api/v1/errors/{fingerprint}`; of a wrong method none, as in Flask."""
    if "route" not in scope or scope["method"] not in scope["route"].methods:
        return metrics.UNMATCHED
    return str(scope["route"].path_format)


async def read_body(request: Request) -> bytes:
    """Raises Refused (413) as soon as the body is too large, without reading the rest."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise too_large()
    return bytes(body)
