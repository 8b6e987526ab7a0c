"""The sections of RESULTS.md about latencies and rates."""

from loadtests.analysis.results import Comparison, Results, Trial
from loadtests.analysis.summary import (
    LevelId,
    failures,
    level_ids,
    level_percentile,
    measured,
    over_levels,
    over_trials,
    subjects,
)
from loadtests.load.subjects import compared
from loadtests.report.markdown import table
from loadtests.report.numbers import factor, kinds, number
from loadtests.report.verdict import spread

TENTH = 10


def percentiles(results: Results, profile: str, name: str) -> str:
    """Return one percentile of every level of a closed model, with its ratios."""
    return f"### {name} in milliseconds\n\n{ratios(results, level_ids(results, profile), name)}"


def ratios(results: Results, levels: list[LevelId], name: str) -> str:
    """Return a table: one row per level, the percentile of everyone, then each two twins' ratio."""
    there, twos = subjects(results), compared(measured(results))
    heads = ["", *there]
    for first, second in twos:
        heads += [f"{_short(first)} / {_short(second)}", "over the pairs", "A/A band"]
    rows = []
    for level in levels:
        found = {tuple(each["twins"]): each for each in results["comparison"] if _is(each, level)}
        values = [number(level_percentile(results, subject, level, name), 1) for subject in there]
        cells = [cell for two in twos for cell in _ratio(found.get(two), name)]
        rows.append([level.name, *values, *cells])
    return table(heads, rows)


def _short(twin: str) -> str:
    return twin.partition("_")[0]


def _is(comparison: Comparison, level: LevelId) -> bool:
    return (comparison["profile"], comparison["level"]) == level


def _ratio(found: Comparison | None, name: str) -> list[str]:
    if found is None:
        return ["-", "", ""]
    p95 = name == "p95"
    ratio = found["p95_ratio"] if p95 else found["p99_ratio"]
    band = found["p95_band"] if p95 else found["p99_band"]
    same = found["indistinguishable"] if p95 else found["p99_indistinguishable"]
    if ratio is None:
        return ["-", "", ""]
    mark = "; indistinguishable" if same else ""
    return [factor(ratio["median"]), spread(ratio) + mark, f"{1 / band:.2f} to {band:.2f}" if band else "-"]


def drift(results: Results, profile: str) -> str:
    """Return whether a twin becomes slower with time: what a soak is about."""
    rows = [
        [name, *(number(over_trials(results, twin, value, profile), 1) for twin in subjects(results)[:-1])]
        for name, value in (("p95 in the first tenth", _first_tenth), ("p95 in the last tenth", _last_tenth))
    ]
    return f"### Does it change over time? In milliseconds\n\n{table(['', *subjects(results)[:-1]], rows)}"


def _first_tenth(trial: Trial) -> float | None:
    return _middle(trial, first=True)


def _last_tenth(trial: Trial) -> float | None:
    return _middle(trial, first=False)


def _middle(trial: Trial, first: bool) -> float | None:
    slots = [each for each in (trial["timeline"] or {"p95_ms": []})["p95_ms"] if each is not None]
    some = max(1, len(slots) // TENTH)
    part = sorted(slots[:some] if first else slots[-some:])
    return part[len(part) // 2] if part else None


def rates(results: Results, profile: str) -> str:
    """Return the successful answers per second, and what failed, of every level."""
    there = subjects(results)
    rows = []
    for level in level_ids(results, profile):
        answered = [over_levels(results, each, level, lambda one: one["achieved_rps"]) for each in there]
        failed = [kinds(failures(results, twin, level)) for twin in there[:-1]]
        rows.append([level.name, *(number(rate, 0) for rate in answered), *failed])
    heads = ["", *there, *(f"failed: {twin}" for twin in there[:-1])]
    return f"""### Successful answers per second; failures by status code, or by what came instead

{table(heads, rows)}"""
