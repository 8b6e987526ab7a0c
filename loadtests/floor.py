"""A handler that does nothing: what server, loopback and load generator cost by themselves."""

from fastapi import FastAPI, Request, Response

ANSWER = b'{"success":true,"data":{"status":"queued"},"timestamp":"2026-01-01T00:00:00.000000Z"}'


def create_app() -> FastAPI:
    """Return an app that reads each event, keeps nothing, and answers bytes like the twins'."""
    app = FastAPI(openapi_url=None)

    @app.post("/api/v1/errors/log")
    async def log(request: Request) -> Response:
        await request.body()
        return Response(ANSWER, media_type="application/json")

    @app.get("/api/v1/health")
    async def health() -> Response:
        return Response(b'{"status":"up"}', media_type="application/json")

    return app
