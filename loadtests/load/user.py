"""The user of the load profile: sends events one at a time, over a connection of its own.

`host` may name several addresses of one service, with commas: the users are shared out among them.
"""

# mypy: disable-error-code="no-untyped-call, untyped-decorator"
# Locust declares types for a part of itself only.

from collections.abc import Iterator
from time import perf_counter
from typing import ClassVar

import gevent
from locust import User, task
from locust.exception import StopUser

from loadtests.load import workload
from loadtests.load.client import Client
from loadtests.load.sender import Sender

CROWDED = 0.01
"""Seconds that a user waits where Locust is about to say which users go."""


class Reporter(User):
    """Closed model: reports, waits for the answer, thinks. Open model: reports what is due next."""

    newest: ClassVar[Sender | None] = None
    client: Client | None = None

    def on_start(self) -> None:
        if self.newest is None:  # a worker that came when the test had begun
            raise StopUser
        self.test = self.newest
        service, number = self.test.next_place()
        hosts = (self.host or "").split(",")
        self.client = Client(hosts[number % len(hosts)])
        self.test.clients.add(self.client)
        self.test.staying.add(self)
        self.schedule = self.test.schedules.get(service)

    @task
    def live(self) -> None:
        if self.schedule is None:
            self.report_and_think()
        else:
            self.keep_to_the_schedule(self.schedule)
        raise StopUser

    def report_and_think(self) -> None:
        """Think first, so that new users do not arrive as one.

        Not Locust's `wait_time`: it kills a user that it found waiting, although the user may have begun to
        send by then, and a quarter of 500 users left without an answer.
        """
        test, name = self.test, self.test.next_user()
        events = test.events(name)
        think_times = workload.think_times(test.share.seed, name, test.share.think)
        gevent.sleep(next(think_times))
        while test.over is None and self in test.staying:
            if test.is_crowded():
                gevent.sleep(CROWDED)
                continue
            test.pending += 1
            now = perf_counter()
            self.report(next(events), now, now)
            gevent.sleep(next(think_times))

    def keep_to_the_schedule(self, schedule: Iterator[tuple[float, workload.Event]]) -> None:
        """What is overdue is sent at once: a start that was missed is late, and never forgotten."""
        assert self.client is not None
        test = self.test
        if test.connects_first:
            self.client.connect()
        for due, event in schedule:
            now = perf_counter()
            if now < due:
                gevent.sleep(due - now)
            if now < due + test.patience:
                self.report(event, due, max(due, now))
            else:
                test.record_unsent(event, due)
            if test.is_rush:  # the next event is another user's
                self.client.close()
            if self not in test.staying:
                return

    def report(self, event: workload.Event, due: float, ready: float) -> None:
        assert self.client is not None
        outcome, sent = "abandoned", perf_counter()
        try:
            outcome = self.client.post(event.body)
        finally:
            self.test.record(event, due, ready, sent, outcome)
        if self.test.share.feeds_locust:
            self._feed_locust((perf_counter() - sent) * 1000, outcome)

    def _feed_locust(self, milliseconds: float, outcome: str) -> None:
        self.environment.stats.log_request("POST", "event", milliseconds, 0)
        if outcome[0] != "2":
            self.environment.stats.log_error("POST", "event", outcome)

    def stop(self, force: bool = False) -> bool:
        """Locust's word that this user goes: what it sends now it sends to the end."""
        if self.newest is not None:
            self.newest.staying.discard(self)
        return bool(super().stop(force))

    def on_stop(self) -> None:
        if self.client is not None:
            self.client.close()
            self.test.clients.discard(self.client)
