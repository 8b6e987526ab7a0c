"""Figures over all valid trials of a run, as the terminal and the reports show them."""

from collections import Counter
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

from loadtests.pairs import FLOORS, latency
from loadtests.results import Comparison, Level, Ratio, Results, Trial

TWINS = ("naive_sync", "async_dedup")


class LevelId(NamedTuple):
    """What names a level in every trial of a run."""

    profile: str
    name: str


def subjects(results: Results) -> list[str]:
    """Return who was measured, as the columns of a table: the twins, a third implementation, the floor."""
    there = {trial["twin"] for trial in results["trials"]}
    return [*TWINS, *(["other"] if "other" in there else []), "floor"]


def profiles(results: Results) -> list[str]:
    """Return the profiles of a run in the order in which they ran."""
    return list(dict.fromkeys(trial["profile"] for trial in results["trials"]))


def level_ids(results: Results, profile: str) -> list[LevelId]:
    """Return the levels of a profile in the order in which they ran, rates ascending."""
    trials = [trial["levels"] for trial in results["trials"] if trial["profile"] == profile]
    ordered = sorted(
        (each for levels in trials for each in levels), key=lambda each: each["offered_rps"] or 0.0
    )
    return list(dict.fromkeys(LevelId(profile, each["name"]) for each in ordered))


def trials_of(results: Results, twin: str, profile: str | None = None) -> list[Trial]:
    """Return a twin's valid trials, of all profiles or of one."""
    return [
        trial
        for trial in results["trials"]
        if trial["twin"] == twin and trial["valid"] and profile in (None, trial["profile"])
    ]


def over_trials(
    results: Results, twin: str, value: Callable[[Trial], float | None], profile: str | None = None
) -> float | None:
    """Return the median of `value` over a twin's valid trials; None without any."""
    return _median([value(trial) for trial in trials_of(results, twin, profile)])


def over_levels(
    results: Results, twin: str, level_id: LevelId, value: Callable[[Level], float | None]
) -> float | None:
    """Return the median of `value` over a twin's valid levels of that name; None without any."""
    return _median([value(level) for level in levels_of(results, twin, level_id)])


def levels_of(results: Results, twin: str, level_id: LevelId) -> list[Level]:
    """Return the valid levels of that name; `twin` may be "floor"."""
    trials = trials_of(results, twin, level_id.profile)
    levels = results["floor"] if twin == "floor" else [level for trial in trials for level in trial["levels"]]
    return [level for level in levels if (level["profile"], level["name"]) == level_id and level["valid"]]


def percentile(results: Results, twin: str, level_id: LevelId, name: str) -> float | None:
    """Return the median of the trials' percentiles ("p95") in milliseconds.

    None where all of them together have too few requests for it.
    """
    requests = sum(level["acknowledged"] for level in levels_of(results, twin, level_id))
    if requests < FLOORS.get(name, 0):
        return None
    return over_levels(results, twin, level_id, lambda level: latency(level, name))


def failures(results: Results, twin: str, level_id: LevelId) -> Counter[str]:
    """Return the failed requests of all valid levels of that name, by kind."""
    total: Counter[str] = Counter()
    for level in levels_of(results, twin, level_id):
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
    return [f"{level['name']}: {reason}" for level in levels for reason in level["invalid_reasons"]]


def spread(ratio: Ratio) -> str:
    """Return what low and high of a ratio are worth, in words."""
    number = f"{ratio['pairs']} pair{'s' * (ratio['pairs'] != 1)}"
    if ratio["confidence"] is None:
        return f"smallest {ratio['low']:.2f}, largest {ratio['high']:.2f}; {number}: demo, no interval"
    return f"{ratio['confidence']:.0%} interval {ratio['low']:.2f} to {ratio['high']:.2f}; {number}"


def headline(results: Results) -> Comparison | None:
    """Return the twins' last level of the first profile; None where nothing is left to compare."""
    ours = [each for each in results["comparison"] if each["twins"] == [*TWINS]]
    return next((each for each in reversed(ours) if each["profile"] == ours[0]["profile"]), None)


def verdict(results: Results) -> str:
    """Return the result in a few sentences, whichever way it went."""
    last = headline(results)
    if last is None:
        return "Nothing valid to compare: each trial or level has its reason below."
    return " ".join(filter(None, [_latency(results, last), _capacity(results), _losses(results)]))


def _latency(results: Results, last: Comparison) -> str:
    ratio, level_id = last["p95_ratio"], LevelId(last["profile"], last["level"])
    naive, async_ = (percentile(results, twin, level_id, "p95") for twin in TWINS)
    if ratio is None or naive is None or async_ is None:
        return f"{last['level']}: too few requests for a p95."
    same = ", which is no difference: the twins are indistinguishable" if last["indistinguishable"] else ""
    return (
        f"{last['level']}: 95 of 100 requests were answered within {naive:,.1f} ms by naive_sync and within "
        f"{async_:,.1f} ms by async_dedup, a ratio of {ratio['median']:.2f} ({spread(ratio)}){same}."
    )


def knee(results: Results, twin: str) -> float | None:
    """Return the median of the rates that a twin kept up with; `twin` may be "floor"."""
    if twin == "floor":
        return results["floor_knee"] and results["floor_knee"]["rps"]
    return over_trials(results, twin, lambda trial: trial["knee"] and trial["knee"]["rps"])


def _capacity(results: Results) -> str:
    ratio = next((each["knee_ratio"] for each in results["capacity"] if each["twins"] == [*TWINS]), None)
    if ratio is None:
        return ""
    naive, async_ = (knee(results, twin) or 0.0 for twin in TWINS)
    return (
        f"naive_sync kept up with {naive:,.0f} requests/s, async_dedup with {async_:,.0f}: "
        f"{ratio['median']:.2f} times as many ({spread(ratio)})."
    )


def _losses(results: Results) -> str:
    return f"Of what they had acknowledged, {' and '.join(_lost(results, twin) for twin in TWINS)}."


def _lost(results: Results, twin: str) -> str:
    counts = [trial["reconcile"] for trial in results["trials"] if trial["twin"] == twin]
    lost, acknowledged = (sum(count[key] for count in counts) for key in ("lost", "acknowledged"))
    return f"{twin} lost {lost:,} of {acknowledged:,} events"


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
