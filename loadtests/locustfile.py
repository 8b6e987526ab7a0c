"""The load profile, for any implementation of the contract: `locust -f loadtests/locustfile.py --host http://...`.

From the root of the repository. `--profile` names one of `profiles.PROFILES`. With `--record` and no web UI
Locust's own statistics stay empty: to keep them would cost an eighth of the generator's CPU, and the bench
reads the record.
"""

# mypy: disable-error-code="no-untyped-call, untyped-decorator"
# Locust declares types for a part of itself only.

import json
import time
from argparse import Namespace
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import ClassVar

import gevent
from locust import LoadTestShape, User, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.user.task import LOCUST_STATE_STOPPING

from loadtests import workload
from loadtests.client import TIMEOUT, Client
from loadtests.profiles import PROFILES, Profile
from loadtests.recorder import Level, Recorder, write_json

PULSE = 0.05
"""Seconds between two looks at how late the generator's own timers are."""


class Reporter(User):
    """Sends events, one at a time, and thinks in between."""

    recorder = Recorder()
    numbers: Iterator[int] = count()
    clients: ClassVar[set[Client]] = set()
    cpu_before = 0.0
    feeds_locust: bool

    def on_start(self) -> None:
        number, seed = next(self.numbers), options_of(self.environment).seed
        self.events = workload.events(seed, number)
        self.think_times = workload.think_times(seed, number)
        self.client = Client(self.host or "")
        self.clients.add(self.client)

    @task
    def live(self) -> None:
        """Think first, so that new users do not arrive as one.

        Not Locust's `wait_time`: it kills a user that it found waiting, although the user may have begun to
        send by then, and a quarter of 500 users left without an answer.
        """
        gevent.sleep(next(self.think_times))
        while self._state != LOCUST_STATE_STOPPING:
            self.report(next(self.events))
            gevent.sleep(next(self.think_times))

    def report(self, event: workload.Event) -> None:
        level, outcome = self.recorder.level, "abandoned"
        sent = perf_counter()
        try:
            outcome = self.client.post(event.body)
        finally:
            now = perf_counter()
            self.recorder.add(level, event.message, sent, now, outcome)
        if self.feeds_locust:
            self._feed_locust((now - sent) * 1000, outcome)

    def _feed_locust(self, milliseconds: float, outcome: str) -> None:
        self.environment.stats.log_request("POST", "event", milliseconds, 0)
        if outcome[0] != "2":
            self.environment.stats.log_error("POST", "event", outcome)

    def on_stop(self) -> None:
        self.client.close()
        self.clients.discard(self.client)


class Shape(LoadTestShape):
    """Follows the profile, and tells the recorder which level it is."""

    profile: Profile
    index: int | None

    def reset_time(self) -> None:
        """Locust calls this once at each start, before the first tick."""
        super().reset_time()
        assert self.runner is not None
        environment = self.runner.environment
        options = options_of(environment)
        self.profile = PROFILES[environment.profile or "ramp"].with_level_seconds(options.level_seconds)
        self.index = None
        Reporter.recorder, Reporter.numbers = Recorder(), count()
        Reporter.cpu_before = time.process_time()

    def tick(self) -> tuple[int, float] | None:
        index = self.profile.level_at(self.get_run_time())
        if index is None:
            Reporter.recorder.begin(Level(0), perf_counter())
            return None
        users = self.profile.users[max(index, 0)]
        if index != self.index:
            self.index = index
            self._begin(users, warm_up=index < 0)
        return users, users

    def _begin(self, users: int, warm_up: bool) -> None:
        now = perf_counter()
        level = Level(users) if warm_up else Level(users, now + self.profile.start_up_seconds)
        Reporter.recorder.begin(level, now)


@events.init_command_line_parser.add_listener
def add_options(parser: LocustArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same events")
    parser.add_argument(
        "--level-seconds", type=float, default=0, help="seconds of each level; 0: the profile's own"
    )
    parser.add_argument("--record", default="", help="file for everything that was measured, JSON")
    parser.add_argument("--progress", default="", help="file for a line of JSON every second")


@events.init.add_listener
def prepare(environment: Environment, **_: object) -> None:
    """Give users the time to get their last answer: to cut them off would hide the slowest ones."""
    environment.stop_timeout = max(environment.stop_timeout or 0, TIMEOUT + 5)
    assert environment.runner is not None
    environment.runner.greenlet.spawn(pulse)
    environment.runner.greenlet.spawn(every_second, environment)
    Reporter.feeds_locust = environment.web_ui is not None or not options_of(environment).record


@events.test_stop.add_listener
def write_record(environment: Environment, **_: object) -> None:
    if options_of(environment).record:
        cpu_seconds = time.process_time() - Reporter.cpu_before
        write_json(Path(options_of(environment).record), Reporter.recorder.result(cpu_seconds))


def options_of(environment: Environment) -> Namespace:
    assert isinstance(environment.parsed_options, Namespace)
    return environment.parsed_options


def pulse() -> None:
    due = perf_counter() + PULSE
    while True:
        gevent.sleep(due - perf_counter())
        now, level = perf_counter(), Reporter.recorder.level
        if now >= level.measured_from:
            level.pulse(now, time.process_time(), now - due)
        due = now + PULSE


def every_second(environment: Environment) -> None:
    """Time out what is overdue, and tell how it goes."""
    path, before = options_of(environment).progress, 0
    while True:
        gevent.sleep(1)
        for client in list(Reporter.clients):
            client.close_if_overdue(perf_counter())
        recorder = Reporter.recorder
        if path:
            _append(Path(path), recorder, recorder.succeeded - before)
        before = recorder.succeeded


def _append(path: Path, recorder: Recorder, rate: int) -> None:
    line = {
        "users": recorder.level.users,
        "rate": rate,
        "p95_ms": recorder.p95_so_far(),
        "failed": recorder.failed.total(),
    }
    with path.open("a") as progress:
        progress.write(json.dumps(line) + "\n")
