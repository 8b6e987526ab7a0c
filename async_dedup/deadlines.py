"""Deadlines for what a client has to do next: one look a second at all connections, no timers."""

import asyncio
from collections.abc import Callable
from typing import Protocol
from weakref import WeakKeyDictionary

INTERVAL = 1.0


class Watched(Protocol):
    """A connection."""

    def waits_for(self) -> tuple[object, float] | None:
        """Return what the client has to do, and the seconds that it has for it."""
        ...

    def expire(self) -> None: ...


class Sweep:
    """Looks for as long as there is a connection."""

    def __init__(self, call_later: Callable[[float, Callable[[], None]], object]) -> None:
        self._call_later = call_later
        self._since: dict[Watched, tuple[object, float]] = {}
        self._looks = False

    def add(self, watched: Watched, now: float) -> None:
        self._since[watched] = (None, now)
        self._look_later()

    def discard(self, watched: Watched) -> None:
        self._since.pop(watched, None)

    def _look_later(self) -> None:
        if self._since and not self._looks:
            self._looks = True
            self._call_later(INTERVAL, self._look)

    def _look(self) -> None:
        self._looks = False
        now = asyncio.get_running_loop().time()
        for watched, (task, since) in list(self._since.items()):
            waits_for = watched.waits_for()
            if waits_for is None or waits_for[0] != task:
                self._since[watched] = (waits_for and waits_for[0], now)
            elif now - since >= waits_for[1]:
                self._since[watched] = (None, now)
                watched.expire()
        self._look_later()


SWEEPS: "WeakKeyDictionary[asyncio.AbstractEventLoop, Sweep]" = WeakKeyDictionary()


def sweep_of(loop: asyncio.AbstractEventLoop) -> Sweep:
    if loop not in SWEEPS:
        SWEEPS[loop] = Sweep(loop.call_later)
    return SWEEPS[loop]
