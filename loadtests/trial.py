"""One trial: a fresh twin, the load, the drain, and every count checked."""

import time
from collections import Counter
from typing import Any, cast

from loadtests.generator import LOOK_EVERY, Load, Show, generate
from loadtests.observe import Observation
from loadtests.percentiles import percentiles
from loadtests.prober import Prober
from loadtests.reconcile import connect, read_recorded, read_total, reconcile
from loadtests.results import Level, Reconciliation, Trial, Turn
from loadtests.stack import Stack
from loadtests.validity import level_reasons, trial_reasons

FLUSHES_TO_SETTLE = 3
"""Flush intervals without any change after which what is missing will not come."""
SETTLED_WITHOUT_BUFFER = 1.0
"""The same for a twin without a buffer, in seconds."""


def run_trial(stack: Stack, turn: Turn, load: Load, show: Show) -> Trial:
    """Run one twin alone, from an empty database, and stop it again. Raises StackError and TrialFailed."""
    stack.reset()
    stack.start_twin(turn.twin)
    try:
        return _measure(stack, turn, load, show)
    finally:
        stack.stop_twin(turn.twin)


def run_floor(stack: Stack, load: Load, show: Show) -> list[Level]:
    """Run the same load against the handler that does nothing."""
    stack.start_twin("floor")
    try:
        record = generate(stack, stack.base_url("floor"), load, show)
        return _judged(record["levels"])
    finally:
        stack.stop_twin("floor")


def _measure(stack: Stack, turn: Turn, load: Load, show: Show) -> Trial:
    observed = Observation(stack, turn.twin)
    settle = FLUSHES_TO_SETTLE * stack.settings.flush_interval
    with Prober(stack.base_url(turn.twin), stack.settings, load.seed, patience=settle) as prober:
        record = generate(stack, stack.base_url(turn.twin), load, show)
        prober.stop_sending()
        patience = settle if turn.twin == "async_dedup" else SETTLED_WITHOUT_BUFFER
        drain_seconds = _drain(stack, record, prober.acknowledged.total(), patience)
    counts = _reconcile(stack, record, prober)
    observed.end()
    reasons = trial_reasons(turn.twin, counts, observed.machine)
    return {
        "pair": turn.pair,
        "order": turn.order,
        "twin": turn.twin,
        "valid": not reasons,
        "invalid_reasons": reasons,
        "levels": _judged(record["levels"]),
        "failed": record["failed"],
        "cpu_seconds": observed.cpu_seconds | {"generator": record["cpu_seconds"]},
        "freshness_ms": percentiles(prober.row_ms),
        "counted_ms": percentiles(prober.count_ms),
        "drain_seconds": drain_seconds,
        "reconcile": counts,
        "machine": observed.machine,
    }


def _judged(levels: list[dict[str, Any]]) -> list[Level]:
    judged = []
    for level in levels:
        reasons = level_reasons(level["generator"], level["acknowledged"])
        judged.append(level | {"valid": not reasons, "invalid_reasons": reasons})
    return cast("list[Level]", judged)


def _drain(stack: Stack, record: dict[str, Any], probed: int, settle: float) -> float:
    """Wait until MySQL holds what was acknowledged, or nothing has changed for `settle` seconds.

    Returns the seconds until the last change.
    """
    expected = sum(record["acknowledged"].values()) + probed
    with connect(stack.settings) as mysql:
        ended = changed = time.monotonic()
        total = read_total(mysql)
        # Events whose answer was never seen may still come, on top of the acknowledged ones.
        while (total < expected or record["unanswered"]) and time.monotonic() - changed < settle:
            time.sleep(LOOK_EVERY)
            before, total = total, read_total(mysql)
            if total != before:
                changed = time.monotonic()
    return changed - ended


def _reconcile(stack: Stack, record: dict[str, Any], prober: Prober) -> Reconciliation:
    with connect(stack.settings) as mysql:
        recorded = read_recorded(mysql)
    acknowledged = Counter(record["acknowledged"]) + prober.acknowledged
    unanswered = Counter(record["unanswered"]) + prober.unanswered
    return reconcile(acknowledged, unanswered, recorded)
