"""Figures over all valid trials of a run, as the terminal and the reports show them."""

from collections import Counter
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

from hdrh.histogram import HdrHistogram
from typing_extensions import TypedDict

from loadtests.analysis.pairs import FLOORS, latency
from loadtests.analysis.results import Reconciliation, Results, Trial
from loadtests.load.measured import Level
from loadtests.load.profiles import SMOKE
from loadtests.load.subjects import FLOOR, SUBJECTS, in_order


class LevelId(NamedTuple):
    """What names a level in every trial of a run."""

    profile: str
    name: str


def subjects(results: Results) -> list[str]:
    """Return who was measured, as the columns of a table; the floor last."""
    return [*measured(results), FLOOR.name]


def measured(results: Results) -> list[str]:
    return in_order(trial["twin"] for trial in results["trials"])


def ends(results: Results) -> tuple[str, str] | None:
    """Return the first and the last of those measured, whose comparison is the result; None of one alone."""
    there = measured(results)
    return (there[0], there[-1]) if len(there) > 1 else None


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


class Counted(NamedTuple):
    """What the audits of all trials of a subject found: a count is checked whatever the timing is worth."""

    twin: str
    acknowledged: int
    lost: int
    extra: int


def counted(results: Results) -> list[Counted]:
    """Return it of everyone who was measured."""
    found = []
    for twin in measured(results):
        audits = [trial["reconcile"] for trial in results["trials"] if trial["twin"] == twin]
        acknowledged = sum(audit["acknowledged"] for audit in audits)
        lost, extra = (sum(audit[name] for audit in audits) for name in ("lost", "extra"))
        found.append(Counted(twin, acknowledged, lost, extra))
    return found


def broken_promises(results: Results) -> list[Counted]:
    """Return those who promise their counts, and lost or doubled any: before all else, in every output."""
    return [each for each in counted(results) if is_broken(each.twin, each.lost, each.extra)]


def is_broken(twin: str, lost: int, extra: int) -> bool:
    return SUBJECTS[twin].promises_counts and bool(lost or extra)


def users_of(results: Results, level_id: LevelId) -> int:
    """Return how many users a level has, valid or not."""
    levels = (level for trial in results["trials"] for level in trial["levels"])
    return next(level["users"] for level in levels if (level["profile"], level["name"]) == level_id)


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


def level_percentile(results: Results, twin: str, level_id: LevelId, name: str) -> float | None:
    """Return the median of the trials' percentiles ("p95") in milliseconds.

    None where all of them together have too few requests for it.
    """
    requests = sum(level["acknowledged"] for level in levels_of(results, twin, level_id))
    if requests < FLOORS.get(name, 0):
        return None
    return over_levels(results, twin, level_id, lambda level: latency(level, name))


def is_smoke(results: Results) -> bool:
    return results["profile"] == SMOKE.name


def to_look_at(results: Results, twin: str, level_id: LevelId, name: str) -> float | None:
    """Return the same of however few requests: of a smoke run alone, which is never published."""
    if not is_smoke(results):
        return None
    return over_levels(results, twin, level_id, lambda level: latency(level, name))


def failures(results: Results, twin: str, level_id: LevelId) -> Counter[str]:
    """Return the failed requests of all valid levels of that name, by kind."""
    total: Counter[str] = Counter()
    for level in levels_of(results, twin, level_id):
        total.update(level["failed"])
    return +total


class Spent(TypedDict):
    """The part of a trial that its cost is made of."""

    cpu_seconds: dict[str, float]
    reconcile: Reconciliation


def per_thousand(trial: Spent) -> dict[str, float]:
    """Return CPU seconds per 1,000 acknowledged events, by process; empty without events."""
    events = trial["reconcile"]["acknowledged"]
    return {name: seconds * 1000 / events for name, seconds in trial["cpu_seconds"].items()} if events else {}


def server_per_thousand(trial: Spent) -> float | None:
    """Return the same of all processes but the generator; None where no event was acknowledged."""
    return sum(s for name, s in per_thousand(trial).items() if name != "generator") or None


def knee(results: Results, twin: str) -> float | None:
    """Return the median of the rates that a twin kept up with; `twin` may be "floor"."""
    if twin == "floor":
        return results["floor_knee"] and results["floor_knee"]["rps"]
    return over_trials(results, twin, lambda trial: trial["knee"] and trial["knee"]["rps"])


def client_mean(trial: Trial) -> float | None:
    """Return the mean latency that clients saw in the trial's valid levels, in milliseconds."""
    levels = [level for level in trial["levels"] if level["valid"] and level["acknowledged"]]
    total = sum(_mean_ms(level) * level["acknowledged"] for level in levels)
    return total / sum(level["acknowledged"] for level in levels) if levels else None


def _mean_ms(level: Level) -> float:
    # The library's own mean walks through all 28,000 buckets in Python, which takes a minute for a whole run.
    histogram = HdrHistogram.decode(level["histogram"])
    filled = ((index, count) for index, count in enumerate(histogram.counts) if count)
    total = sum(histogram.get_value_from_index(index) * count for index, count in filled)
    return float(total / histogram.get_total_count() / 1000)


def reasons(trial: Trial) -> list[str]:
    """Return all that is left out of a trial, with its reason."""
    return [*trial["invalid_reasons"], *level_reasons(trial["levels"])]


def level_reasons(levels: Sequence[Level]) -> list[str]:
    return [f"{level['name']}: {reason}" for level in levels for reason in level["invalid_reasons"]]


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
