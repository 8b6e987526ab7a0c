"""The load profile, for any implementation of the contract: `locust -f loadtests/locustfile.py --host http://...`.

From the root of the repository. `--profile` names one of `profiles.PROFILES`, or "open", which needs a
`--rate`, or "rush", which needs a `--rush`. With `--record` and no web UI Locust's own statistics stay empty:
to keep them would cost an eighth of the generator's CPU, and the bench reads the record.

One process, several (`--processes`) or several machines (`--master`, `--worker`) do the same: the one that
leads sends "begin" to each that has users, and gets a "record" from each. In one process these are calls.
"""

# mypy: disable-error-code="no-untyped-call, untyped-decorator"
# Locust declares types for a part of itself only.

import sys
import time
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

import gevent
from locust import LoadTestShape, events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.rpc import Message
from locust.runners import MasterRunner, WorkerRunner

from loadtests.load.client import TIMEOUT
from loadtests.load.files import write_json
from loadtests.load.levels import result
from loadtests.load.outcomes import Packed
from loadtests.load.profiles import Profile, planned
from loadtests.load.progress import Progress, tell
from loadtests.load.sender import PATIENCE, Sender, Share
from loadtests.load.user import Reporter
from loadtests.load.workload import Mix

BEGIN, END, RECORD = "begin", "end", "record"
TICK = 1.0
"""Seconds between two ticks of Locust's."""


class Shape(LoadTestShape):
    """Follows the profile, and ends when every record is there. In the process that leads only."""

    profile: Profile
    began: float | None = None
    missing = 0
    """Processes that have not sent their record yet."""
    packed: list[Packed]

    def begin(self, profile: Profile, processes: int) -> None:
        self.profile, self.missing, self.packed = profile, processes, []
        self.began = time.perf_counter()

    def tick(self) -> tuple[int, float] | None:
        if self.began is None:  # the first tick, which makes Locust start the test
            assert self.runner is not None
            users = profile_of(options_of(self.runner.environment)).users_at(0)
            return users, users
        elapsed = time.perf_counter() - self.began
        gevent.sleep(self.profile.until_change(elapsed, TICK))
        if not self.missing or elapsed > self.profile.seconds + PATIENCE:
            return None
        # Locust also takes users away at the given rate: 990 of them at 10 a second, in the spike.
        return self.profile.users_at(time.perf_counter() - self.began), self.profile.most_users

    def take(self, packed: Packed) -> bool:
        """Keep a process's record; return whether it was the last one."""
        self.packed.append(packed)
        self.missing -= 1
        return not self.missing

    def wait_for_records(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while self.missing and time.monotonic() < deadline:
            gevent.sleep(0.05)


@events.init_command_line_parser.add_listener
def add_options(parser: LocustArgumentParser) -> None:
    add = parser.add_argument
    add("--seed", type=int, default=1, help="the same seed gives the same events")
    add("--part", default="", help="for one of several runs that together send no unique event twice")
    add(
        "--mix",
        type=mix,
        help="fingerprints, characters of a message and bytes of a stack trace, with commas",
    )
    add("--rate", type=float, default=0, help="requests per second of the profile open")
    add("--rush", type=int, default=0, help="users of the profile rush")
    add("--think", type=float, help="mean seconds that a user thinks, instead of the profile's")
    add("--level-seconds", type=seconds, default=[], help="of all levels, or of each with commas")
    add("--record", default="", help="file for everything that was measured, JSON")
    add("--progress", default="", help="file for a line of JSON every second; not with several processes")


@events.init.add_listener
def prepare(environment: Environment, **_: object) -> None:
    """Give users the time to get their last answer: to cut them off would hide the slowest ones."""
    runner = environment.runner
    assert runner is not None
    environment.stop_timeout = max(environment.stop_timeout or 0, TIMEOUT + 5)
    if not isinstance(runner, WorkerRunner):
        try:
            profile_of(options_of(environment))
        except ValueError as error:
            sys.exit(f"locust: {error}")
    runner.register_message(BEGIN, begin_share)
    runner.register_message(END, finish_share)
    runner.register_message(RECORD, take_record)
    if options_of(environment).progress and not isinstance(runner, MasterRunner | WorkerRunner):
        runner.greenlet.spawn(show_progress, environment.host, Path(options_of(environment).progress))


@events.test_start.add_listener
def begin_test(environment: Environment, **_: object) -> None:
    """Tell every process with users its share. Before Locust starts users: a worker needs to know first."""
    runner, options = environment.runner, options_of(environment)
    if runner is None or isinstance(runner, WorkerRunner):
        return
    workers: list[str | None] = [None]
    if isinstance(runner, MasterRunner):
        nodes = [*runner.clients.ready, *runner.clients.running, *runner.clients.spawning]
        workers = sorted((node.id for node in nodes), key=runner.get_worker_index)
    profile = profile_of(options)
    shape_of(environment).begin(profile, len(workers))
    for number, client_id in enumerate(workers):
        share = Share(
            profile=options.profile or "ramp",
            level_seconds=options.level_seconds,
            rate=options.rate,
            rush=options.rush,
            seed=options.seed,
            part=options.part,
            mix=options.mix,
            think=profile.think_seconds if options.think is None else options.think,
            feeds_locust=environment.web_ui is not None or not options.record,
            worker=number,
            workers=len(workers),
        )
        runner.send_message(BEGIN, asdict(share), client_id)


def begin_share(environment: Environment, msg: Message, **_: object) -> None:
    runner = environment.runner
    assert runner is not None
    sender = Sender(Share(**msg.data), lambda packed: runner.send_message(RECORD, packed))
    Reporter.newest = sender
    for service in (sender.keep_time, sender.pulse, sender.time_out):
        runner.greenlet.spawn(service)


def finish_share(**_: object) -> None:
    if Reporter.newest is not None:
        Reporter.newest.finish()


def take_record(environment: Environment, msg: Message, **_: object) -> None:
    shape, path = shape_of(environment), options_of(environment).record
    if shape.take(msg.data) and path:
        write_json(Path(path), result(shape.profile, shape.packed))


@events.test_stop.add_listener
def end_test(environment: Environment, **_: object) -> None:
    """End what runs, where somebody has stopped the test; and be ready for the next one."""
    runner, shape = environment.runner, shape_of(environment)
    if isinstance(runner, MasterRunner):
        runner.send_message(END)
        shape.wait_for_records()
    else:
        finish_share()
    shape.began = None


def options_of(environment: Environment) -> Namespace:
    assert isinstance(environment.parsed_options, Namespace)
    return environment.parsed_options


def shape_of(environment: Environment) -> Shape:
    assert isinstance(environment.shape_class, Shape)
    return environment.shape_class


def seconds(words: str) -> list[float]:
    return [float(word) for word in words.split(",")]


def mix(words: str) -> list[int]:
    return [*Mix(*map(int, words.split(",")))]


def profile_of(options: Namespace) -> Profile:
    return planned(options.profile or "ramp", options.level_seconds, options.rate, options.rush)


def show_progress(host: str, path: Path) -> None:
    shown = None
    while True:
        gevent.sleep(0.1)
        if Reporter.newest is not None and Reporter.newest is not shown:
            shown = Reporter.newest
            show_test(shown, host, path)


def show_test(sender: Sender, host: str, path: Path) -> None:
    """Write a line each second until the test is over, and then one that makes them complete."""
    level, first, before, over = None, 0, 0, False
    while not over:
        gevent.sleep(1)
        over = sender.is_reported
        outcomes, index = sender.outcomes, sender.profile.level_at(sender.elapsed)
        if index != level:
            level, first = index, len(outcomes.outcome)
        line: Progress = {
            "users": sender.profile.users_at(sender.elapsed),
            "rate": len(outcomes.outcome) - before,
            "p95_ms": outcomes.p95_since(first),
            "failed": outcomes.failed.total(),
            "failed_by": dict(outcomes.failed),
            "offered": sender.profile.rate_at(sender.elapsed),
            "profile": sender.profile.name,
            "level": sender.profile.words_at(sender.elapsed),
            "target": host,
        }
        before = len(outcomes.outcome)
        tell(path, line)
