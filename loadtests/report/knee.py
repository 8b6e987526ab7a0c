"""The section of RESULTS.md about the open model: what rate each twin keeps up with, and how fast it is."""

from loadtests.analysis.overload import LEAST_ACHIEVED, MOST_P95_MS
from loadtests.analysis.results import Results
from loadtests.analysis.summary import (
    LevelId,
    knee,
    level_ids,
    level_percentile,
    over_levels,
    subjects,
    trials_of,
)
from loadtests.load.profiles import OF_KNEE
from loadtests.report.latency import ratios
from loadtests.report.markdown import table
from loadtests.report.numbers import factor, number
from loadtests.report.verdict import spread

PROFILE = "knee"


def open_model(results: Results) -> str:
    return f"""The knee is the highest rate that a twin keeps up with: p95 under {MOST_P95_MS:.0f} ms,
at least {LEAST_ACHIEVED:.0%} of the offered rate, and a backlog that does not grow.

### Requests per second that each one keeps up with

{_capacity(results)}

{_ratios(results)}

### Latency up to its own knee, in milliseconds

Each one's rates are shares of its own knee, so these figures are not compared.

{_shares(results)}

### p95 in milliseconds, at equal rates

{ratios(results, _rungs(results), "p95")}

### p99 in milliseconds, at equal rates

{ratios(results, _rungs(results), "p99")}"""


def _capacity(results: Results) -> str:
    rows = [[each, number(knee(results, each), 0), _limits(results, each)] for each in subjects(results)]
    return table(["", "requests/s", "what it did not keep up with"], rows)


def _limits(results: Results, subject: str) -> str:
    floor = results["floor_knee"]
    if subject == "floor":
        return floor["limit"] if floor else ""
    knees = [trial["knee"] for trial in trials_of(results, subject, PROFILE)]
    return "; ".join(dict.fromkeys(each["limit"] for each in knees if each))


def _ratios(results: Results) -> str:
    lines = [
        f"{each['twins'][1]} keeps up with {factor(each['knee_ratio']['median'])} times the rate of "
        f"{each['twins'][0]} ({spread(each['knee_ratio'])}"
        f"{'; indistinguishable' if each['indistinguishable'] else ''})."
        for each in results["capacity"]
    ]
    return "\n".join(lines) or "No pair has two knees to compare."


def _shares(results: Results) -> str:
    rows = []
    for level in level_ids(results, PROFILE):
        if not level.name.endswith(OF_KNEE):
            continue
        for each in subjects(results):
            rate = over_levels(results, each, level, lambda one: one["offered_rps"])
            values = [level_percentile(results, each, level, name) for name in ("p50", "p95", "p99")]
            rows.append([level.name, each, number(rate, 0), *(number(value, 1) for value in values)])
    return table(["", "", "requests/s", "p50", "p95", "p99"], rows)


def _rungs(results: Results) -> list[LevelId]:
    shared = {each["level"] for each in results["comparison"] if each["profile"] == PROFILE}
    return [level for level in level_ids(results, PROFILE) if level.name in shared]
