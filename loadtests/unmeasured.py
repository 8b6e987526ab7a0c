"""The async twin without the metrics of its hot path, to be set against the real one."""

from contextlib import AbstractContextManager, nullcontext

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from async_dedup import app as async_twin
from async_dedup import buffer, ingest
from async_dedup.dispatch import HotPathAPI, _answer


class Unwatched(HotPathAPI):
    """Neither counts nor times a request, and so has no need to remember its status."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        function = self.hot.get(scope["path"]) if scope.get("method") == "POST" else None
        if function:
            await _answer(function, scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


class Ignored:
    """In the place of a histogram."""

    def observe(self, amount: float) -> None:
        pass

    def time(self) -> AbstractContextManager[None]:
        return nullcontext()


def create_app() -> FastAPI:
    async_twin.HotPathAPI = Unwatched  # type: ignore[attr-defined]
    buffer.ADD_DURATION = ingest.group_events = Ignored()  # type: ignore[assignment, attr-defined]
    return async_twin.create_app()
