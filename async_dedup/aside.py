"""A group that Redis does not decide on: what of it may be kept, and what becomes of each event."""

import time
from collections.abc import Sequence
from uuid import uuid4

from async_dedup.fates import FOLDED, KEPT, Fate, Verdict
from async_dedup.group_buffer import by_fingerprint
from async_dedup.limits import Limits
from async_dedup.spool import record_of
from shared.event import Event
from shared.metrics import events_folded


class Aside:
    """Decided once, when it is made: however often it is then tried to keep it, its rates are used once."""

    def __init__(self, events: Sequence[Event], limits: Limits | None) -> None:
        self._events = events
        self._limits = limits
        self._fates: list[Fate] = limits.throttle.decide(events) if limits else [KEPT] * len(events)
        kept = [event for event, fate in zip(events, self._fates, strict=True) if fate == KEPT]
        self.record = record_of(
            uuid4().hex,
            [*by_fingerprint(kept).values()],
            limits.may_be_new if limits else lambda _: False,
        )

    def kept(self, folded: set[str]) -> int | Verdict:
        """The outcome of the group, once its record is kept; `folded` fingerprints on an overflow issue."""
        if self._limits is None:
            return 0
        fates = [
            FOLDED if fate == KEPT and event.fingerprint in folded else fate
            for event, fate in zip(self._events, self._fates, strict=True)
        ]
        events_folded.inc(sum(fate == FOLDED for fate in fates))
        for event, fate in zip(self._events, fates, strict=True):
            if fate == FOLDED:
                self._limits.throttle.buckets.fold(event.service, time.monotonic())
        return Verdict(0, fates)
