"""A handler that does nothing: what server, loopback and load generator cost by themselves.

The same server and the same short way as the async twin's: what is between the two is the job.
"""

import asyncio

from fastapi import FastAPI, Request, Response

from async_dedup.dispatch import Answer, HotPathAPI, read_body
from shared.answer import JSON
from shared.event import PATH

ANSWER = b'{"success":true,"data":{"status":"queued"},"timestamp":"2026-01-01T00:00:00.000000Z"}'
SLOW_SECONDS = 0.01


def create_slow_app() -> FastAPI:
    """Return the same with a delay, beside which what a load generator adds is small."""
    return create_app(SLOW_SECONDS)


def create_app(seconds: float = 0) -> FastAPI:
    """Return an app that reads each event, keeps nothing and answers always the same bytes."""
    app = HotPathAPI(openapi_url=None)

    def accept(_: bytes, answer: Answer) -> None:
        if seconds:
            asyncio.get_running_loop().call_later(seconds, answer, ANSWER)
        else:
            answer(ANSWER)

    @app.post(PATH)
    async def log_event(request: Request) -> Response:
        await read_body(request.receive)
        await asyncio.sleep(seconds)
        return Response(ANSWER, media_type=JSON)

    @app.get("/api/v1/health")
    async def health() -> Response:
        return Response(b'{"status":"up"}', media_type=JSON)

    app.hot = accept
    return app
