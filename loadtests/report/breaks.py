"""What breaks first in the naive twin, and when: each with the lowest load at which it was seen."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from typing_extensions import TypedDict

from loadtests.analysis.overload import MOST_P95_MS
from loadtests.analysis.results import Reconciliation, Results, Trial
from loadtests.analysis.summary import (
    level_ids,
    level_percentile,
    over_levels,
    over_trials,
    profiles,
    server_per_thousand,
    trials_of,
    users_of,
)
from loadtests.load.measured import Level
from loadtests.load.subjects import NAIVE
from loadtests.report.markdown import table
from loadtests.report.numbers import milliseconds

NO_MORE = 1.05
"""Times the answers that a larger level must bring, or it brought none."""
CRASH = "500"


class Offered(TypedDict):
    """A fixed rate and what became of it: what is read of a point of the growth study."""

    level: Level
    reconcile: Reconciliation
    valid: bool


class Break(NamedTuple):
    rate: float
    """Requests per second: what breaks first stands first."""
    what: str
    when: str
    why: str


def what_breaks(results: Results, rising: Sequence[Offered]) -> str:
    """Return a table; `rising` are the naive twin's points at rising rates, none where there are none."""
    found = sorted([*_lost(rising), *_crashes(results), *_closed(results)])
    rows = [each[1:] for each in [*found, *_pool(results), *_refusals(results)]]
    return table(["what breaks", "when", "why"], rows)


def _lost(rising: Sequence[Offered]) -> Iterable[Break]:
    for each in rising:
        level, counts, rate = each["level"], each["reconcile"], each["level"]["offered_rps"] or 0.0
        p95 = (level["due_latency_ms"] or {}).get("p95")
        if each["valid"] and counts["lost"] and p95:
            when = f"at {rate:,.0f} requests/s: {counts['lost']:,} of {counts['acknowledged']:,}"
            why = f"two requests read the same number; p95 is still {milliseconds(p95)} ms"
            yield Break(rate, "counts are lost", when, why)
            return


def _crashes(results: Results) -> Iterable[Break]:
    trials = trials_of(results, NAIVE)
    failed = sum(each["failed"].get(CRASH, 0) for each in trials)
    if failed:
        users = min(filter(None, map(_first_failure, trials)), default=None)
        requests = sum(each["reconcile"]["acknowledged"] for each in trials) + failed
        when = f"{f'from {users} users on: ' if users else ''}{failed:,} of {requests:,} requests"
        yield Break(_rate(results, users), "an answer 500", when, "two first events race: a duplicate key")


def _first_failure(trial: Trial) -> int | None:
    """Return the fewest users at whose time a request of the trial failed with nothing but 500."""
    timeline = trial["timeline"]
    if timeline is None or set(trial["failed"]) != {CRASH}:
        return None
    slots = zip(timeline["users"], timeline["failed"], strict=True)
    return min((users for users, failed in slots if failed), default=None)


def _rate(results: Results, users: int | None) -> float:
    levels = [each for each in level_ids(results, profiles(results)[0]) if users_of(results, each) == users]
    rates = (over_levels(results, NAIVE, each, lambda one: one["achieved_rps"]) for each in levels)
    return next(filter(None, rates), 0.0)


def _closed(results: Results) -> Iterable[Break]:
    """What the levels of the first profile show."""
    levels = level_ids(results, profiles(results)[0])
    rates = {each: over_levels(results, NAIVE, each, lambda one: one["achieved_rps"]) for each in levels}
    for few, many in pairwise(levels):
        one, two, last = rates[few], rates[many], rates[levels[-1]]
        if one and two and last and two < NO_MORE * one:
            cpu = over_trials(results, NAIVE, server_per_thousand, few.profile) or 0.0
            when = f"above {few.name}: {one:,.0f}/s there, {last:,.0f}/s at {levels[-1].name}"
            why = f"an event takes {cpu:.1f} ms of CPU, in the app and in MySQL"
            yield Break(one + 0.1, "more users bring no more answers", when, why)
            break
    for level in levels:
        p95 = level_percentile(results, NAIVE, level, "p95")
        if p95 and p95 >= MOST_P95_MS:
            when = f"at {level.name}: {milliseconds(p95)} ms"
            why = "requests wait for a thread, then for a connection"
            yield Break(rates[level] or 0.0, f"p95 passes {MOST_P95_MS:.0f} ms", when, why)
            break


def _pool(results: Results) -> Iterable[Break]:
    profile = profiles(results)[0]
    share = over_trials(results, NAIVE, _pool_share, profile)
    if share:
        when = f"{share:.0%} of a request's time in the app, over all of `{profile}`"
        why = f"{results['environment']['pool_size']} connections for more threads than that"
        yield Break(0.0, "requests wait for the pool", when, why)


def _pool_share(trial: Trial) -> float | None:
    mean = trial["mean_ms"]
    return mean["pool"] / mean["request"] if mean.get("pool") and mean.get("request") else None


def _refusals(results: Results) -> Iterable[Break]:
    trials = trials_of(results, NAIVE)
    kinds = sum((Counter(each["failed"]) for each in trials), Counter[str]())
    closed = [level for each in trials for level in each["levels"] if level["offered_rps"] is None]
    most = max((level["users"] for level in closed), default=0)
    others = {kind: many for kind, many in kinds.items() if kind != CRASH and many}
    when = ", ".join(f"{many:,} x {kind}" for kind, many in sorted(others.items()))
    yield Break(
        0.0,
        "it refuses, or says nothing",
        when or f"not seen, with up to {most:,} users",
        "it gives up a wait for a connection only after 30 s",
    )
