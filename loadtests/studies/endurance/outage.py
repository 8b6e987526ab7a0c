"""MySQL is away while very many distinct events come; then it is back, and everything has to get there."""

import time
from typing import NamedTuple

from typing_extensions import TypedDict

from async_dedup.buffer import Buffer
from loadtests.analysis.results import Reconciliation
from loadtests.load.profiles import at_rate
from loadtests.load.subjects import ASYNC
from loadtests.load.workload import Mix
from loadtests.stack import Stack
from loadtests.studies.endurance.watch import watched
from loadtests.studies.faults.campaign import is_drained
from loadtests.studies.study import Setup, emptied
from loadtests.trial.driver import Driver
from loadtests.trial.generator import TrialFailed
from loadtests.trial.reconcile import Table, connect, reconcile

DISTINCT = 10**9
"""Fingerprints that repeated events are drawn from: next to none comes twice."""
DRAIN_LIMIT = 600.0
PROBE_RATE, PROBE_SECONDS = 200.0, 8.0


class Outage(NamedTuple):
    about: str
    rate: float
    seconds: float
    trace_bytes: int


OUTAGES = {
    "outage": Outage("1,000,000 distinct events, with stack traces of 200 bytes", 6_000, 167, 200),
    "traces": Outage("stack traces of 64 KiB until nobody has room", 300, 90, 65_536),
}


class Outcome(TypedDict):
    """Bytes are the most that was held from the begin of the load to the end of the drain."""

    about: str
    acknowledged: int
    unanswered: int
    """503 or no answer."""
    states: list[str]
    memory: dict[str, int]
    redis_bytes: int
    spool_bytes: int
    drain_seconds: float
    """From MySQL's return until everything was in it, with the probes' events."""
    p95_before: float
    p95_after: list[float]
    """Milliseconds, of probes one after the other from MySQL's return on."""
    reconcile: Reconciliation


def outlast(setup: Setup, name: str) -> Outcome:
    """Raises StackError; TrialFailed where the backlog stays."""
    planned = OUTAGES[name]
    with setup.stack() as stack:
        emptied(stack).dispose()
        stack.start_twin(ASYNC)
        driver = Driver(stack, stack.base_url(ASYNC), setup.options.seed, setup.display.load)
        buffer, before, after = Buffer(stack.settings), _probe(driver), list[float]()
        with watched(stack) as peak:
            stack.kill("mysql")
            driver.run(at_rate(planned.rate, planned.seconds), Mix(DISTINCT, trace_bytes=planned.trace_bytes))
            passed = states(stack)
            stack.start("mysql")
            began = time.monotonic()
            while not _is_drained_soon(stack, buffer, began):
                setup.display.step(f"{name}: draining for {time.monotonic() - began:.0f} s")
                after.append(_probe(driver))
            drain = time.monotonic() - began
        after.append(_probe(driver))
        probed = time.monotonic()
        while not _is_drained_soon(stack, buffer, probed):
            pass
        with connect(stack.settings) as mysql:
            counts = reconcile(driver.acknowledged, driver.unanswered, Table(mysql).counts())
        stack.stop_twin(ASYNC)
    return {
        "about": planned.about,
        "acknowledged": driver.acknowledged.total(),
        "unanswered": driver.unanswered.total(),
        "states": passed,
        "memory": peak.memory,
        "redis_bytes": peak.redis_bytes,
        "spool_bytes": peak.spool_bytes,
        "drain_seconds": drain,
        "p95_before": before,
        "p95_after": after,
        "reconcile": counts,
    }


def _probe(driver: Driver) -> float:
    """The p95 of new requests, in ms; without an answer all of the time."""
    driver.probe(at_rate(PROBE_RATE, PROBE_SECONDS))
    return driver.levels[-1]["latency_ms"]["p95"] or PROBE_SECONDS * 1_000


def _is_drained_soon(stack: Stack, buffer: Buffer, began: float) -> bool:
    """Within the time that counts have until the next flush: longer, and there is a backlog.

    Raises TrialFailed where that has lasted for DRAIN_LIMIT since `began`.
    """
    if time.monotonic() - began > DRAIN_LIMIT:
        raise TrialFailed(f"the backlog is not gone after {DRAIN_LIMIT:.0f} s")
    deadline = time.monotonic() + stack.settings.flush_interval + 1
    while time.monotonic() < deadline:
        if is_drained(stack, buffer):
            return True
        time.sleep(0.1)
    return False


def states(stack: Stack, since: int = 0) -> list[str]:
    """Those that the API's log tells of from that byte on, in order."""
    lines = stack.log_path(ASYNC).read_bytes()[since:].decode(errors="replace").splitlines()
    told = [line.partition("Events go to ")[2].partition(",")[0] for line in lines]
    return ["redis", *(state for state in told if state)]
