"""How long ago something was, though clocks are set back and forth.

Redis dates, so that no other process's clock counts. Should its clock be set, an age is what this process
has seen by its own monotonic one.
"""

import time
from collections.abc import Mapping
from contextlib import suppress

from async_dedup.entries import added_at


class FlushAge:
    """Seconds since the last flush, or since this process started if that is later."""

    def __init__(self) -> None:
        self._flushed_at: float | None = None
        self._asked = self._otherwise = time.monotonic()

    def __call__(self, flushed_at: float, now: float) -> float:
        """Both by Redis's clock. A flush in the future of it is as old as it can be."""
        if flushed_at != self._flushed_at:
            self._flushed_at, self._otherwise = flushed_at, self._asked
        self._asked = time.monotonic()
        longest = self._asked - self._otherwise
        return min(now - flushed_at, longest) if flushed_at <= now else longest


class QueueAge:
    """Seconds that the oldest first event has waited."""

    def __init__(self) -> None:
        self._oldest: bytes | None = None
        self._seen = 0.0

    def __call__(self, oldest: tuple[bytes, Mapping[bytes, bytes]] | None, now: float) -> float:
        """Dated by Redis; one from the future, or that can't be read, has waited since it was seen first."""
        entry_id = oldest[0] if oldest else None
        if entry_id != self._oldest:
            self._oldest, self._seen = entry_id, time.monotonic()
        if oldest is None:
            return 0.0
        with suppress(ValueError):
            if (age := now - added_at(*oldest) / 1e6) >= 0:
                return age
        return time.monotonic() - self._seen


def flushed_seconds(mark: bytes | None) -> float:
    """0 where there is no mark, or none that can be read."""
    try:
        return float(mark or 0)
    except ValueError:
        return 0.0
