"""The generator's view and the audits', from what is written while a run goes on."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from loadtests.live.counts import Window
from loadtests.load.progress import SILENCE, Tail, Told

FAILED = "failed"
OTHER = "other"


class Load(NamedTuple):
    profile: str
    level: str
    subject: str
    """The role that is loaded; `OTHER` where it is none of the stack's."""
    users: int
    offered: float | None
    rate: float
    p95_ms: float | None
    """Of the running level so far."""
    failed: dict[str, float]
    """Per second, by outcome."""


class Generator:
    def __init__(self, progress: Path) -> None:
        self.told = Told()
        self._tail = Tail(progress)
        self._window = Window()
        self._roles: dict[str, str] = {}
        self._last: Load | None = None
        self._last_at = 0.0

    def look(self, now: float, roles: Mapping[str, str]) -> Load | None:
        """Return how the load goes at `now`, in seconds; None without any. `roles`: who runs, by address."""
        self._roles |= roles  # the last line may be read when its target has gone
        lines = self.told.take(self._tail.lines())
        if lines:
            last, self._last_at = lines[-1], now
            grown = self._window.add(now, {(FAILED, kind): n for kind, n in last["failed_by"].items()})
            self._last = Load(
                last["profile"],
                last["level"],
                self._roles.get(last["target"].removeprefix("http://"), OTHER),
                last["users"],
                last["offered"],
                sum(line["rate"] for line in lines) / len(lines),
                last["p95_ms"],
                grown.rates(FAILED) if grown else {},
            )
        elif now - self._last_at > SILENCE:
            self._last = None
            self._window.clear()
        return self._last
