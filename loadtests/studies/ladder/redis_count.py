"""The async twin without its group commit: a Redis round trip, and so an fsync, for each event."""

from collections.abc import Callable
from itertools import cycle

from fastapi import FastAPI

from async_dedup import app as async_twin
from async_dedup.group_buffer import GroupBuffer
from async_dedup.ingest import Adds, Done, Ingest
from shared.event import Event
from shared.settings import load

CONNECTIONS = 30
"""As many as the naive twin has to MySQL."""


class Alone(Ingest):
    max_group = 1


class Ungrouped(Ingest):
    """Deals the events out to as many connections, one event at a time on each."""

    def __init__(self, buffer: Adds, nudge: Callable[[], None]) -> None:
        super().__init__(buffer, nudge)
        lanes = [Alone(GroupBuffer(load()), nudge) for _ in range(CONNECTIONS)]
        for lane in lanes:
            lane.start_nudging = self.start_nudging  # type: ignore[method-assign] # one job for all
        self._lanes = cycle(lanes)

    def submit(self, event: Event, done: Done) -> None:
        next(self._lanes).submit(event, done)


def create_app() -> FastAPI:
    async_twin.Ingest = Ungrouped  # type: ignore[attr-defined]
    return async_twin.create_app()
