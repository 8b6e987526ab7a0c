"""One trial: a fresh twin, the load, the drain, and every count checked."""

import time
from math import inf
from typing import TypedDict

from loadtests.analysis.results import Knee, Machine, Reconciliation, Trial, Turn
from loadtests.load.measured import Level
from loadtests.load.percentiles import percentiles
from loadtests.load.profiles import PROFILES
from loadtests.load.progress import PROGRESS, Show, audit_line, tell
from loadtests.load.subjects import OTHER, SUBJECTS
from loadtests.stack import Stack
from loadtests.trial import knee, plan, time_spent
from loadtests.trial.driver import Driver
from loadtests.trial.observation import Observation, roles
from loadtests.trial.over_http import Listing
from loadtests.trial.prober import Prober
from loadtests.trial.reconcile import (
    Connection,
    Counts,
    Recorded,
    Table,
    connect,
    drain,
    expected,
    reconcile,
)
from loadtests.trial.statements import Statements
from loadtests.trial.validity import trial_reasons
from shared.quota import Quotas

FLUSHES_TO_SETTLE = 3
"""Flush intervals without any change after which what is missing will not come."""
SETTLED_WITHOUT_BUFFER = 1.0
"""The same for a twin without a buffer, in seconds."""


class Outcome(TypedDict):
    """What is known after the load; fields as in Trial."""

    cpu_seconds: dict[str, float]
    memory_mb: dict[str, float]
    written_mb: dict[str, float]
    statements: int | None
    mean_ms: dict[str, float]
    freshness_ms: dict[str, float | None]
    counted_ms: dict[str, float | None]
    drain_seconds: float
    reconcile: Reconciliation
    machine: Machine


def run_trial(stack: Stack, turn: Turn, seed: int, show: Show) -> Trial:
    """Run one twin alone, from an empty database, and stop it again. Raises StackError and TrialFailed."""
    stack.reset()
    stack.start_twin(turn.twin)
    try:
        with connect(stack.settings) as mysql:
            found = _measure(stack, turn, mysql, Driver(stack, stack.base_url(turn.twin), seed, show))
            tell(stack.run_dir / PROGRESS, audit_line(turn.twin, found["reconcile"]))
            return found
    finally:
        stack.stop_twin(turn.twin)


def run_other(stack: Stack, turn: Turn, host: str, show: Show) -> Trial:
    """Run the implementation at `host`, from whatever it holds; its cost is not known. Raises TrialFailed.

    It can't be emptied, so the seed is the time: events that it has seen before would not be new to it.
    """
    recorded, driver = Listing(host), Driver(stack, host, int(time.time()), show)
    observed, settle = Observation(stack, {}), patience(stack, turn.twin)
    _drive(driver, turn.profile, recorded, settle)
    drained_at = drain(recorded, driver.acknowledged.total(), driver.unanswered.total(), settle)
    counts = reconcile(driver.acknowledged, driver.unanswered, recorded.counts())
    observed.end()
    found = _trial(
        turn,
        driver,
        Outcome(
            cpu_seconds={},
            memory_mb={},
            written_mb={},
            statements=None,
            mean_ms={},
            freshness_ms={},
            counted_ms={},
            drain_seconds=drained_at - driver.ended_at if drained_at else 0.0,
            reconcile=counts,
            # Which processes are its own is not known.
            machine={**observed.machine, "others_share": 0.0},
        ),
    )
    tell(stack.run_dir / PROGRESS, audit_line(turn.twin, found["reconcile"]))
    return found


def run_floor(stack: Stack, profile: str, seed: int, show: Show) -> tuple[list[Level], Knee | None]:
    """Run the same load against the handler that does nothing. Of a knee it is the climb only."""
    stack.start_twin("floor")
    try:
        driver = Driver(stack, stack.base_url("floor"), seed, show)
        if profile == plan.KNEE:
            driver.follow(knee.climb(precision=inf))
        else:
            driver.run(plan.floor_profile(profile))
        return driver.levels, driver.knee
    finally:
        stack.stop_twin("floor")


def _measure(stack: Stack, turn: Turn, mysql: Connection, driver: Driver) -> Trial:
    recorded, settle, url = Table(mysql), patience(stack, turn.twin), stack.base_url(turn.twin)
    observed, statements = Observation(stack, roles(turn.twin)), Statements(mysql)
    spent = time_spent.read(url)
    with Prober(url, stack.settings, driver.seed, patience=settle) as prober:
        _drive(driver, turn.profile, recorded, settle)
        prober.stop_sending()
        acknowledged = driver.acknowledged.total() + prober.acknowledged.total()
        drained_at = drain(recorded, acknowledged, driver.unanswered.total(), settle)
    counts = _audit(stack, driver, prober, recorded.counts())
    observed.end()
    return _trial(
        turn,
        driver,
        Outcome(
            cpu_seconds=observed.cpu_seconds,
            memory_mb=observed.memory_mb,
            written_mb=observed.written_mb,
            statements=statements.count(own=prober.statements),
            mean_ms=time_spent.mean_ms(spent, time_spent.read(url)),
            freshness_ms=percentiles(prober.row_ms),
            counted_ms=percentiles(prober.count_ms),
            drain_seconds=drained_at - driver.ended_at if drained_at else 0.0,
            reconcile=counts,
            machine=observed.machine,
        ),
    )


def _audit(stack: Stack, driver: Driver, prober: Prober, recorded: Counts) -> Reconciliation:
    acknowledged = driver.acknowledged + prober.acknowledged
    unanswered = driver.unanswered + prober.unanswered
    if Quotas(stack.settings).has_budgets:
        must, may, _ = expected(acknowledged, unanswered, recorded, driver.service_of, spooled=False)
        return reconcile(must, may, recorded) | {"unanswered": unanswered.total()}
    return reconcile(acknowledged, unanswered, recorded)


def _drive(driver: Driver, profile: str, recorded: Recorded, settle: float) -> None:
    if profile == plan.KNEE:
        driver.follow(knee.search(), recorded, settle)
    else:
        driver.run(PROFILES[profile])


def patience(stack: Stack, twin: str) -> float:
    """Return the seconds without any change after which what is missing in `twin` will not come."""
    subject = SUBJECTS[twin]
    if subject.behind or subject.name == OTHER:
        return FLUSHES_TO_SETTLE * stack.settings.flush_interval
    return SETTLED_WITHOUT_BUFFER


def _trial(turn: Turn, driver: Driver, outcome: Outcome) -> Trial:
    reasons = trial_reasons(turn.twin, outcome["reconcile"], outcome["machine"])
    return {
        "profile": turn.profile,
        "pair": turn.pair,
        "order": turn.order,
        "twin": turn.twin,
        "valid": not reasons,
        "invalid_reasons": reasons,
        "levels": driver.levels,
        "timeline": driver.timeline,
        "knee": driver.knee,
        "failed": dict(driver.failed),
        **outcome,
        "cpu_seconds": outcome["cpu_seconds"] | {"generator": driver.cpu_seconds},
    }
