"""The bound: what no design can leave out of an event on this machine, each part measured bare.

A server reads, parses and answers its request. Redis adds one and keeps what is new, in groups as large as
there are connections, each with its fsync. MySQL inserts a row for each event that is new. Who does these
three things and nothing else spends the bound; what is above it is the design's.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import islice

from sqlalchemy import insert

from async_dedup.buffer import Buffer
from async_dedup.digest import ROWS
from async_dedup.keys import BUFFER, FIRST_EVENTS
from loadtests.load.profiles import PROFILES
from loadtests.load.workload import events
from loadtests.stack import Stack
from loadtests.stack.process import on_cpus
from loadtests.studies.study import Setup, emptied
from loadtests.trial import plan
from loadtests.trial.driver import Driver
from loadtests.trial.observation import cpu_seconds
from shared.answer import now
from shared.db import make_background_engine
from shared.event import Event, parse
from shared.model import Issue

SIZE = 100_000
"""Events that Redis counts, and whose new ones MySQL keeps."""
TIMES = 3


Bound = Mapping[str, float]
"""CPU seconds for an event, by the process that spends them: "app", "redis", "mysql"."""


def bounds(setup: Setup, size: int = SIZE, times: int = TIMES) -> list[Bound]:
    """Return the bound, time by time. Raises StackError and TrialFailed."""
    sent = [parse(each.body) for each in islice(events(setup.options.seed, 0), size)]
    with setup.stack() as stack:
        return [_bound(setup, stack, sent, f"the bound, {each} of {times}") for each in range(1, times + 1)]


def _bound(setup: Setup, stack: Stack, sent: Sequence[Event], step: str) -> Bound:
    emptied(stack).dispose()
    profile = PROFILES["saturated"]
    setup.display.step(f"{step}: requests")
    app = _app(setup, stack, profile.name)
    with on_cpus(stack.server_cpus()):
        setup.display.step(f"{step}: Redis")
        redis = _spent(stack, "redis", lambda: _count(stack, sent, profile.most_users))
        setup.display.step(f"{step}: MySQL")
        mysql = _spent(stack, "mysql", lambda: _insert(stack, sent))
    return {"app": app, "redis": redis / len(sent), "mysql": mysql / len(sent)}


def _spent(stack: Stack, role: str, work: Callable[[], None]) -> float:
    before = cpu_seconds(stack.pid(role))
    work()
    return cpu_seconds(stack.pid(role)) - before


def _app(setup: Setup, stack: Stack, profile: str) -> float:
    stack.start_twin("floor")
    try:
        driver = Driver(stack, stack.base_url("floor"), setup.options.seed, setup.display.load)
        spent = _spent(stack, "floor", lambda: driver.run(plan.floor_profile(profile)))
        return spent / driver.acknowledged.total()
    finally:
        stack.stop_twin("floor")


def _count(stack: Stack, sent: Sequence[Event], size: int) -> None:
    redis, known = Buffer(stack.settings).redis, set[str]()
    for start in range(0, len(sent), size):
        group = sent[start : start + size]
        counts = Counter(event.fingerprint for event in group)
        with redis.pipeline(transaction=True) as pipeline:
            for fingerprint, events in counts.items():
                pipeline.hincrby(BUFFER, fingerprint, events)
            for event in group:
                if event.fingerprint not in known:
                    known.add(event.fingerprint)
                    pipeline.xadd(FIRST_EVENTS, {"event": event.model_dump_json(by_alias=True)})
            pipeline.execute()
    redis.close()


def _insert(stack: Stack, sent: Sequence[Event]) -> None:
    engine, seen_at = make_background_engine(stack.settings), now().isoformat(" ")
    seen = {"times_seen": 1, "first_seen": seen_at, "last_seen": seen_at}
    firsts = {event.fingerprint: event for event in sent}.items()
    rows = [event.model_dump() | seen | {"fingerprint": fingerprint} for fingerprint, event in firsts]
    for start in range(0, len(rows), ROWS):
        with engine.begin() as connection:
            connection.execute(insert(Issue), rows[start : start + ROWS])
    engine.dispose()
