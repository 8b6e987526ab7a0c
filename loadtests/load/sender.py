"""One process's share of a test: what its users send, and when, and what became of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, takewhile
from time import perf_counter, time

import gevent
from gevent.event import Event

from loadtests.load import workload
from loadtests.load.client import TIMEOUT, Client
from loadtests.load.outcomes import UNSENT, Outcomes, Packed
from loadtests.load.profiles import planned

PULSE = 0.05
"""Seconds between two looks at how late the generator's own timers are."""
HEAD_START = 0.5
"""Seconds that users of the open model have to connect before the first request is due."""
PATIENCE = 2 * TIMEOUT + 1
"""Seconds until even the last request that was due is answered, or timed out waiting for a connection."""


@dataclass(frozen=True)
class Share:
    """What every process is told at the start of a test."""

    profile: str
    level_seconds: list[float]
    rate: float
    """Of the whole test; 0 in the closed model."""
    seed: int
    part: str
    mix: tuple[int, int, int] | None
    """Values of a `workload.Mix`: a message between processes keeps no names."""
    think: float
    feeds_locust: bool
    worker: int
    """From 0 to `workers` - 1."""
    workers: int


class Sender:
    """Sends a share. Begins when it is made. Not safe for threads; greenlets are fine."""

    def __init__(self, share: Share, report: Callable[[Packed], None]) -> None:
        """`report` is called once, with everything that was recorded."""
        self.share = share
        self.profile = planned(share.profile, share.level_seconds, share.rate)
        self.began = perf_counter()
        self.outcomes = Outcomes(self.began)
        self.clients: set[Client] = set()
        self.over: float | None = None
        """When the test ended, in seconds after its start: only what was due before is still sent."""
        self.pending = 0
        """Requests due (open model) or sent (closed), and not yet recorded."""
        self.schedule = self._schedule() if share.rate else iter(())
        """In the open model every user takes the next request from here."""
        self._numbers = count(share.worker, share.workers)
        self._report = report
        self._reported = Event()

    @property
    def elapsed(self) -> float:
        return perf_counter() - self.began

    @property
    def is_reported(self) -> bool:
        return bool(self._reported.is_set())

    def next_user(self) -> str:
        """Return the name of a new user, unlike any other process's: its streams hang on it."""
        return f"{self.share.part}{next(self._numbers)}"

    def _schedule(self) -> Iterator[tuple[float, workload.Event]]:
        """Yield when each request is due, as of `time.perf_counter`, and its event."""
        name = f"{self.share.part}open-{self.share.worker}"
        arrivals = workload.arrivals(self.share.seed, name, self.share.rate / self.share.workers)
        from_then_on = (HEAD_START + due for due in arrivals)
        in_time = takewhile(lambda due: due < (self.over or self.profile.seconds), from_then_on)
        for due, event in zip(in_time, self.events(name), strict=False):
            self.pending += 1
            yield self.began + due, event

    def events(self, user: str) -> Iterator[workload.Event]:
        mix = self.share.mix
        return workload.events(self.share.seed, user, workload.Mix(*mix) if mix else None)

    def record(self, event: workload.Event, due: float, ready: float, sent: float, outcome: str) -> None:
        self.pending -= 1
        self.outcomes.add(event.message, due, ready, sent, outcome)

    def record_unsent(self, event: workload.Event, due: float) -> None:
        now = perf_counter()
        self.record(event, due, now, now, UNSENT)

    def finish(self) -> None:
        """End the test, wait for every answer that is still to come, and report.

        Not to wait would hide the slowest. The second call only waits for the first.
        """
        if self.over is not None:
            self._reported.wait()
            return
        self.over = min(self.elapsed, self.profile.seconds)
        try:
            while self.pending and self.elapsed < self.over + PATIENCE:
                gevent.sleep(0.01)
            for due, event in self.schedule:  # left behind by users that were told to stop
                self.record_unsent(event, due)
            self._report(self.outcomes.packed() | {"over": self.over, "ended_at": time()})
        finally:
            self._reported.set()

    def keep_time(self) -> None:
        gevent.sleep(self.profile.seconds - self.elapsed)
        self.finish()

    def pulse(self) -> None:
        """Note how late the generator's own timers are, and how much of its core it uses."""
        due = perf_counter() + PULSE
        while not self.is_reported:
            gevent.sleep(due - perf_counter())
            now = perf_counter()
            self.outcomes.pulse(now, now - due)
            due = now + PULSE

    def time_out(self) -> None:
        while not self.is_reported:
            gevent.sleep(1)
            for client in list(self.clients):
                client.close_if_overdue(perf_counter())
