"""One process's share of a test: what its users send, and when, and what became of it."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, count, cycle, repeat, takewhile
from math import ceil
from time import perf_counter, time

import gevent
from gevent.event import Event

from loadtests.load import workload
from loadtests.load.client import TIMEOUT, Client
from loadtests.load.outcomes import UNSENT, Outcomes, Packed
from loadtests.load.profiles import planned
from shared.fingerprint import DEFAULT_SERVICE

PULSE = 0.05
"""Seconds between two looks at how late the generator's own timers are."""
HEAD_START = 0.5
"""Seconds that users of the open model have to connect before the first request is due."""
TURN = 300.0
"""Seconds that a user of a rush waits for its turn."""
PATIENCE = TURN + TIMEOUT + 1
"""Seconds until even the last request that was due is answered, or timed out waiting for a connection."""


@dataclass(frozen=True)
class Share:
    """What every process is told at the start of a test."""

    profile: str
    level_seconds: list[float]
    rate: float
    """Of the whole test; 0 but in the profile `OPEN`."""
    rush: int
    """Users of the profile `RUSH`; 0 in every other."""
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
        self.profile = planned(share.profile, share.level_seconds, share.rate, share.rush)
        self.began, self.began_at = perf_counter(), time()
        self.outcomes = Outcomes(self.began)
        self.clients: set[Client] = set()
        self.staying: set[object] = set()
        """The users that have not been told to stop."""
        self.over: float | None = None
        """When the test ended, in seconds after its start: only what was due before is still sent."""
        self.pending = 0
        """Requests due (open model) or sent (closed), and not yet recorded."""
        self.schedules = (
            {each: self._schedule(each) for each in self.profile.services} if self.profile.is_open else {}
        )
        """In the open model every user takes the next request of its service from here."""
        self.is_rush = self.profile.is_rush
        self.connects_first = len(self.schedules) == 1
        """One of several services sends seldom: a server closes a connection on which nothing comes."""
        self.patience = TURN if self.is_rush else TIMEOUT
        """Seconds that a request which is due waits for a connection."""
        self._places = cycle(self.profile.places)
        self._placed: Counter[str] = Counter()
        self._numbers = count(share.worker, share.workers)
        self._report = report
        self._reported = Event()

    @property
    def elapsed(self) -> float:
        return perf_counter() - self.began

    @property
    def is_reported(self) -> bool:
        return bool(self._reported.is_set())

    def is_crowded(self) -> bool:
        """Whether there are more users than the level has.

        Its requests are those of its own users. Where 1,000 become 10, Locust takes 10 ms to tell the others:
        what they sent until then was a twentieth of what the 10 sent in 15 s, and so the level's p95.
        """
        return len(self.staying) > ceil(self.profile.users_at(self.elapsed) / self.share.workers)

    def next_user(self) -> str:
        """Return the name of a new user, unlike any other process's: its streams hang on it."""
        return f"{self.share.part}{next(self._numbers)}"

    def next_place(self) -> tuple[str, int]:
        """Return the service that a new user sends for, and how many of this process did so before."""
        service = next(self._places)
        self._placed[service] += 1
        return service, self._placed[service] - 1

    def _schedule(self, service: str) -> Iterator[tuple[float, workload.Event]]:
        """Yield when each request of a service is due, as of `time.perf_counter`, and its event."""
        own = "" if service == DEFAULT_SERVICE else f"-{service}"
        name = f"{self.share.part}open-{self.share.worker}{own}"
        in_time = takewhile(lambda due: due < (self.over or self.profile.seconds), self._due(service, name))
        for due, event in zip(in_time, self.events(name, service), strict=False):
            self.pending += 1
            yield self.began + due, event

    def _due(self, service: str, name: str) -> Iterator[float]:
        """Yield the same in seconds after the start; each level has a stream of its own."""
        begin = HEAD_START
        for number, (level, level_begin, end) in enumerate(self.profile.phases):
            if level.rush:
                share = range(self.share.worker, level.rush, self.share.workers)
                yield from repeat(level_begin + HEAD_START, len(share))
            else:
                stream = f"{name}-level-{number}" if number else name
                yield from self._arrivals(stream, begin, end, level.rate_of(service))
            begin = end

    def _arrivals(self, stream: str, begin: float, end: float, rate: float) -> Iterator[float]:
        arrivals = workload.arrivals(self.share.seed, stream, rate / self.share.workers)
        return takewhile(lambda due: due < end, (begin + after for after in arrivals))

    def events(self, user: str, service: str = DEFAULT_SERVICE) -> Iterator[workload.Event]:
        mix, seed = self.share.mix, self.share.seed
        if self.is_rush:
            return workload.new_events(seed, user)
        return workload.events(seed, user, workload.Mix(*mix) if mix else None, service)

    def record(self, event: workload.Event, due: float, ready: float, sent: float, outcome: str) -> None:
        self.pending -= 1
        self.outcomes.add(event, due, ready, sent, outcome)

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
            for due, event in chain(*self.schedules.values()):  # left behind by users that were told to stop
                self.record_unsent(event, due)
            times = {"over": self.over, "began_at": self.began_at, "ended_at": time()}
            self._report(self.outcomes.packed() | times)
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
