"""The async twin without the metrics of its hot path, to be set against the real one."""

from types import SimpleNamespace

from fastapi import FastAPI

from async_dedup import app as async_twin
from async_dedup import group_buffer, ingest, protocol


class Ignored:
    """In the place of every metric."""

    def observe(self, amount: float) -> None:
        pass

    def add(self, request: object) -> None:
        pass

    discard = add


def create_app() -> FastAPI:
    group_buffer.ADD_DURATION = ingest.group_events = Ignored()  # type: ignore[assignment, attr-defined]
    protocol.metrics = SimpleNamespace(  # type: ignore[assignment, attr-defined]
        in_flight=Ignored(), observe_request=lambda *_: None
    )
    return async_twin.create_app()
