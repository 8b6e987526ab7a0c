"""What changed from one run to another, and whether it is more than noise."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

from loadtests.analysis.pairs import comparable, latency, too_much
from loadtests.analysis.results import Results, Trial
from loadtests.analysis.stats import chance, least_chance
from loadtests.analysis.summary import (
    LevelId,
    level_ids,
    level_percentile,
    profiles,
    server_per_thousand,
    subjects,
    trials_of,
)
from loadtests.load.measured import Level

RISK = 0.05
"""Of calling noise a change, for all tests of two runs together."""


@dataclass(frozen=True)
class Change:
    """One figure of one twin in both runs: a value per valid trial."""

    profile: str
    level: str
    subject: str
    figure: str
    more_is_worse: bool
    before: list[float]
    after: list[float]

    @property
    def percent(self) -> float:
        """By how much the median changed."""
        return percent(median(self.before), median(self.after))

    @property
    def least_chance(self) -> float:
        return least_chance(len(self.before), len(self.after))

    def is_noise(self, tests: int) -> bool | None:
        """Return whether chance explains it, as one of so many tests; None with too few trials to tell."""
        if self.least_chance * tests > RISK:
            return None
        return chance(self.before, self.after) * tests > RISK

    def is_worse(self, threshold: float) -> bool:
        return (self.percent if self.more_is_worse else -self.percent) > threshold


def changes(before: Results, after: Results) -> list[Change]:
    """Return every figure that both runs have: of each level, then of each profile."""
    there = [each for each in subjects(before)[:-1] if each in subjects(after)]
    found = []
    for profile in (each for each in profiles(before) if each in profiles(after)):
        for subject in there:
            found += [
                *_of_levels(before, after, profile, subject),
                *_of_trials(before, after, profile, subject),
            ]
    return [each for each in found if each.before and each.after and median(each.before)]


def count_tests(found: list[Change]) -> int:
    """Return how many of the changes have enough trials to be tested at all; at least 1."""
    return max(1, sum(each.least_chance <= RISK for each in found))


def _of_levels(before: Results, after: Results, profile: str, subject: str) -> Iterator[Change]:
    names = set(level_ids(after, profile))
    for level_id in level_ids(before, profile):
        if level_id not in names:
            continue
        rates = [
            _values(run, subject, level_id, lambda level: level["achieved_rps"]) for run in (before, after)
        ]
        p95s = [
            _values(run, subject, level_id, lambda level: latency(level, "p95"))
            if level_percentile(run, subject, level_id, "p95") is not None
            else []
            for run in (before, after)
        ]
        yield Change(profile, level_id.name, subject, "p95 in ms", True, *p95s)
        yield Change(profile, level_id.name, subject, "answers/s", False, *rates)


def _values(
    run: Results, subject: str, level_id: LevelId, value: Callable[[Level], float | None]
) -> list[float]:
    trials = trials_of(run, subject, level_id.profile)
    limit = too_much(trials)
    levels = [level for trial in trials for level in comparable(trial) if (level["offered_rps"] or 0) < limit]
    values = [value(level) for level in levels if (level["profile"], level["name"]) == level_id]
    return [each for each in values if each is not None]


def _of_trials(before: Results, after: Results, profile: str, subject: str) -> Iterator[Change]:
    figures: tuple[tuple[str, bool, Callable[[Trial], float | None]], ...] = (
        ("CPU s per 1,000 events", True, server_per_thousand),
        ("knee in requests/s", False, lambda trial: trial["knee"] and trial["knee"]["rps"]),
    )
    for name, more_is_worse, value in figures:
        values = [[value(trial) for trial in trials_of(run, subject, profile)] for run in (before, after)]
        known = [[each for each in run if each is not None] for run in values]
        yield Change(profile, "", subject, name, more_is_worse, *known)


def drift(before: Results, after: Results) -> float | None:
    """Return by how many percent the floor's p95 changed, in the middle of the levels; None without any."""
    was, now = (
        {(each["profile"], each["name"]): latency(each, "p95") for each in run["floor"]}
        for run in (before, after)
    )
    changed = [percent(p95, later) for name, p95 in was.items() if p95 and (later := now.get(name))]
    return median(changed) if changed else None


def percent(before: float, after: float) -> float:
    return (after / before - 1) * 100


def wrong_counts(run: Results, profile: str, twin: str) -> int:
    """Return how many events a twin lost or counted twice, invalid trials included."""
    audits = [t["reconcile"] for t in run["trials"] if (t["profile"], t["twin"]) == (profile, twin)]
    return sum(audit["lost"] + audit["extra"] for audit in audits)
