"""One point of a series: a fresh twin at a fixed rate, and what became of it."""

import time
from typing import NamedTuple

from typing_extensions import TypedDict

from async_dedup.buffer import Buffer
from loadtests.analysis.results import Machine, Reconciliation
from loadtests.load.measured import Level
from loadtests.load.profiles import at_rate
from loadtests.load.workload import Mix
from loadtests.stack import Stack
from loadtests.studies.growth.known import make_known
from loadtests.studies.study import Setup, emptied
from loadtests.trial.driver import Driver
from loadtests.trial.generator import TrialFailed
from loadtests.trial.observation import Observation, roles
from loadtests.trial.reconcile import Table, connect, reconcile
from loadtests.trial.validity import trial_reasons

SECONDS = 6.0
MOST_SECONDS = 12.0
REQUESTS = 700
"""A slow rate is offered for longer, so that there is something to take a p95 of."""
DRAIN_LIMIT = 60.0


class Offer(NamedTuple):
    x: int
    """What is varied, of this point."""
    twin: str
    rate: float
    mix: Mix | None = None


class Point(TypedDict):
    """CPU and counts are of the whole point, from before the load to the end of the drain."""

    x: int
    twin: str
    level: Level
    cpu_seconds: dict[str, float]
    reconcile: Reconciliation
    machine: Machine
    valid: bool
    invalid_reasons: list[str]


def measure(setup: Setup, stack: Stack, offer: Offer) -> Point:
    """Raises StackError and TrialFailed."""
    x, twin, rate, mix = offer
    emptied(stack).dispose()
    if mix:
        make_known(stack.settings, mix)
    stack.start_twin(twin)
    try:
        driver = Driver(stack, stack.base_url(twin), setup.options.seed, setup.display.load)
        observed = Observation(stack, roles(twin))
        driver.run(at_rate(rate, min(max(SECONDS, REQUESTS / rate), MOST_SECONDS)), mix)
        if twin == "async_dedup":
            _drain(stack)
        observed.end()
    finally:
        stack.stop_twin(twin)
    with connect(stack.settings) as mysql:
        counts = reconcile(driver.acknowledged, driver.unanswered, Table(mysql).counts())
    reasons = [*trial_reasons(twin, counts, observed.machine), *driver.levels[-1]["invalid_reasons"]]
    return {
        "x": x,
        "twin": twin,
        "level": driver.levels[-1],
        "cpu_seconds": observed.cpu_seconds | {"generator": driver.cpu_seconds},
        "reconcile": counts,
        "machine": observed.machine,
        "valid": not reasons,
        "invalid_reasons": reasons,
    }


def _drain(stack: Stack) -> None:
    """Wait until the buffer is empty. To add up the table, as a trial does, would be a cost that grows."""
    buffer, deadline = Buffer(stack.settings), time.monotonic() + DRAIN_LIMIT
    while not buffer.state().is_empty:
        if time.monotonic() > deadline:
            raise TrialFailed(f"the buffer is not empty {DRAIN_LIMIT:.0f} s after the load")
        time.sleep(0.1)
