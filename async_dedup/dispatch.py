"""What stands between uvicorn and the routes: the watch, the error bodies, the reading of a request."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from http import HTTPStatus
from time import perf_counter

from fastapi import FastAPI, Request, Response
from redis import RedisError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from shared import metrics
from shared.answer import JSON, Refused, unavailable
from shared.event import MAX_BODY, too_large

log = logging.getLogger(__name__)

Answer = Callable[[bytes | Exception], None]
"""Takes the body of a 200, JSON, or the reason for any other answer."""
Hot = Callable[[bytes, Answer], None]
"""What an app does on the short way: takes a request's body, and answers now or later; or raises."""


APART = ThreadPoolExecutor(8, "apart")


def apart(route: Callable[[], Response]) -> Callable[[], Awaitable[Response]]:
    """Run it in threads that no other route takes: where lists wait for MySQL, health and metrics say so."""

    @wraps(route)
    async def run() -> Response:
        return await asyncio.get_running_loop().run_in_executor(APART, route)

    return run


class HotPathAPI(FastAPI):
    """FastAPI that counts and times its requests, and has a short way to the hot route (`protocol.py`)."""

    hot: Hot | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        started = perf_counter()
        watched = Watched(send)
        metrics.in_flight.add(watched)
        try:
            await super().__call__(scope, receive, watched)
        finally:
            metrics.in_flight.discard(watched)
            metrics.observe_request(
                _pattern(scope), scope["method"], watched.status, perf_counter() - started
            )


class Watched:
    """A `send` that remembers the status it has sent."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 500

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


async def answer_error(_: Request, error: Exception) -> Response:
    return error_response(error)


def error_response(error: Exception) -> Response:
    """Every failure gets the contract's error body."""
    refused = _refused(error)
    if refused.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("A bug", exc_info=error)
    return Response(refused.body(), refused.status, refused.headers, JSON)


def _refused(error: Exception) -> Refused:
    match error:
        case Refused():
            return error
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


def read_head(scope: Scope) -> tuple[str, str, str]:
    """Return Content-Type, Content-Length and Content-Encoding, empty where missing."""
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        headers[name] = headers[name] + b"," + value if name in headers else value
    names = (b"content-type", b"content-length", b"content-encoding")
    content_type, content_length, content_encoding = (headers.get(n, b"").decode("latin-1") for n in names)
    return content_type, content_length, content_encoding


async def read_body(receive: Receive) -> bytes:
    """Raises Refused (413) as soon as the body is too large, without reading the rest."""
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise too_large()
        more = message.get("more_body", False)
    return bytes(body)
