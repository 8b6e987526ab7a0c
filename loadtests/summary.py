"""Figures over all trials of a run, as the terminal and RESULTS.md show them. Only valid ones are in them."""

from collections import Counter
from collections.abc import Callable, Sequence
from statistics import median

from loadtests.results import PAIRS_FOR_AN_INTERVAL, Comparison, Level, Results, Trial

TWINS = ("naive_sync", "async_dedup")


def users(results: Results) -> list[int]:
    return [level["users"] for level in results["floor"]]


def trials_of(results: Results, twin: str) -> list[Trial]:
    return [trial for trial in results["trials"] if trial["twin"] == twin and trial["valid"]]


def over_trials(results: Results, twin: str, value: Callable[[Trial], float | None]) -> float | None:
    """Return the median of `value` over a twin's valid trials; None without any."""
    return _median([value(trial) for trial in trials_of(results, twin)])


def over_levels(
    results: Results, twin: str, level_users: int, value: Callable[[Level], float | None]
) -> float | None:
    """Return the median of `value` over a twin's valid levels with `level_users` users; None without any."""
    return _median([value(level) for level in levels_of(results, twin, level_users)])


def levels_of(results: Results, twin: str, level_users: int) -> list[Level]:
    """Return the valid levels of one size; `twin` may be "floor", which has one."""
    if twin == "floor":
        levels = results["floor"]
    else:
        levels = [level for trial in trials_of(results, twin) for level in trial["levels"]]
    return [level for level in levels if level["users"] == level_users and level["valid"]]


def failures(results: Results, twin: str, level_users: int) -> Counter[str]:
    """Return the failed requests of all valid levels of one size, by kind."""
    total: Counter[str] = Counter()
    for level in levels_of(results, twin, level_users):
        total.update(level["failed"])
    return +total


def per_thousand(trial: Trial) -> dict[str, float]:
    """Return CPU seconds per 1,000 acknowledged events, by process; empty without events."""
    events = trial["reconcile"]["acknowledged"]
    return {name: seconds * 1000 / events for name, seconds in trial["cpu_seconds"].items()} if events else {}


def server_per_thousand(trial: Trial) -> float | None:
    """Return the same of all processes but the generator; None where no event was acknowledged."""
    return sum(s for name, s in per_thousand(trial).items() if name != "generator") or None


def reasons(trial: Trial) -> list[str]:
    """Return all that is left out of a trial, with its reason."""
    return [*trial["invalid_reasons"], *level_reasons(trial["levels"])]


def level_reasons(levels: Sequence[Level]) -> list[str]:
    return [f"{level['users']} users: {reason}" for level in levels for reason in level["invalid_reasons"]]


def p95(level: Level) -> float | None:
    return level["latency_ms"]["p95"]


def spread(comparison: Comparison) -> str:
    """Return what low and high of a ratio are worth, in words."""
    ratio = comparison["p95_ratio"]
    number = f"{ratio['pairs']} pair{'s' * (ratio['pairs'] != 1)}"
    caveat = ": demo, no interval" if ratio["pairs"] < PAIRS_FOR_AN_INTERVAL else ""
    return f"smallest {ratio['low']:.2f}, largest {ratio['high']:.2f}; {number}{caveat}"


def verdict(results: Results) -> str:
    """Return the result in two sentences, whichever way it went."""
    if not results["comparison"]:
        return "Nothing valid to compare: each trial or level has its reason below."
    last = results["comparison"][-1]
    naive, async_ = (over_levels(results, twin, last["users"], p95) or 0.0 for twin in TWINS)
    return (
        f"With {last['users']} users, 95 of 100 requests were answered within {naive:,.1f} ms by naive_sync "
        f"and within {async_:,.1f} ms by async_dedup: a ratio of {last['p95_ratio']['median']:.2f} "
        f"({spread(last)}). "
        f"Of what they had acknowledged, {_lost(results, TWINS[0])}, {_lost(results, TWINS[1])}."
    )


def _lost(results: Results, twin: str) -> str:
    counts = [trial["reconcile"] for trial in results["trials"] if trial["twin"] == twin]
    lost, acknowledged = (sum(count[key] for count in counts) for key in ("lost", "acknowledged"))
    return f"{twin} lost {lost:,} of {acknowledged:,} events"


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
