"""APScheduler on a machine whose clock is set.

It plans by the wall clock, as one who wants something done at eight. Set back by an hour, it runs nothing for
an hour; set forward by years, it goes through every run that it has missed.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

LOOK = 0.5
"""Seconds: how late it is noticed that the clock was set."""
SET = timedelta(seconds=0.05)
"""Between two looks; below, the clock was only steered."""


class SteadyScheduler(BackgroundScheduler):  # type: ignore[misc] # has no types
    """Runs every job at once where the clock was set, and plans anew from there."""

    def __init__(self, **options: Any) -> None:
        super().__init__(timezone=UTC, **options)
        self._boot = boot()

    def _process_jobs(self) -> float:
        before, self._boot = self._boot, boot()
        if abs(self._boot - before) > SET:
            for job in self.get_jobs():
                job.modify(next_run_time=datetime.now(UTC))
        wait: float | None = super()._process_jobs()
        return LOOK if wait is None else min(wait, LOOK)


class Every(IntervalTrigger):  # type: ignore[misc]
    """An interval that does not make up for what was missed."""

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        following: datetime = super().get_next_fire_time(previous, now)
        return following if following > now else now + timedelta(seconds=self.interval_length)


def boot() -> datetime:
    """When the monotonic clock was 0, by the wall clock: moves only where that one is set."""
    return datetime.now(UTC) - timedelta(seconds=time.monotonic())
