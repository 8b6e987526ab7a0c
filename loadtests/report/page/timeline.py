"""A pair of trials second by second."""

from collections.abc import Callable
from itertools import pairwise

from loadtests.analysis.results import Results, Trial
from loadtests.analysis.summary import trials_of
from loadtests.load.measured import Timeline
from loadtests.load.subjects import in_order
from loadtests.report.page.latency import MILLISECONDS
from loadtests.report.page.parts import Axis, Chart, Mark, Section, Series, View, axis, chart, panel, rounded
from loadtests.report.verdict import headline

Values = list[float | None]


def through_the_run(results: Results) -> Section:
    pairs: dict[tuple[str, int], list[Trial]] = {}
    for trial in results["trials"]:
        if trial["timeline"]:
            pairs.setdefault((trial["profile"], trial["pair"]), []).append(trial)
    views = [_view(*pair, trials) for pair, trials in pairs.items()]
    return {
        "id": "time",
        "title": "Through the run",
        "note": "One pair of trials over time, by when each request was sent; at first, the pair whose ratio "
        "is nearest to the median. A vertical line with a number: so many users from here on. Look "
        "for a climb while the load is the same, which is a backlog, and for a tail that stays up "
        "after the load has gone.",
        "parts": panel("timeline", views, control="Pair of trials", shown=_usual_pair(results)),
    }


def _usual_pair(results: Results) -> str:
    """Return the name of the pair whose ratio is nearest to the published one; "" where none is published."""
    last = headline(results)
    if last is None or last["p95_ratio"] is None:
        return ""
    middle = last["p95_ratio"]["median"]
    over, under = (_p95_by_pair(results, twin, last["profile"], last["level"]) for twin in last["twins"])
    distance = {pair: abs(over[pair] / under[pair] - middle) for pair in over if pair in under}
    return f"{last['profile']}, pair {min(distance, key=distance.__getitem__)}" if distance else ""


def _p95_by_pair(results: Results, twin: str, profile: str, name: str) -> dict[int, float]:
    return {
        trial["pair"]: p95
        for trial in trials_of(results, twin, profile)
        for level in trial["levels"]
        if level["name"] == name and level["valid"] and (p95 := level["latency_ms"]["p95"])
    }


def _view(profile: str, pair: int, trials: list[Trial]) -> View:
    found = {trial["twin"]: trial["timeline"] for trial in trials if trial["timeline"]}
    lines = {twin: found[twin] for twin in in_order(found)}
    spoilt = ", ".join(trial["twin"] for trial in trials if not trial["valid"])
    per_second = axis("per second", "value")
    charts = [
        _chart(lines, "p95", MILLISECONDS, lambda line: line["p95_ms"]),
        _chart(lines, "p50", MILLISECONDS, lambda line: line["p50_ms"]),
        _chart(lines, "successful answers", per_second, lambda line: _rate(line, line["acknowledged"])),
    ]
    if any(any(line["failed"]) for line in lines.values()):
        charts.append(_chart(lines, "failures", per_second, lambda line: _rate(line, line["failed"])))
    return {
        "name": f"{profile}, pair {pair}" + (f" (not valid: {spoilt})" if spoilt else ""),
        "charts": charts,
    }


def _rate(line: Timeline, counts: list[int]) -> Values:
    return [count / line["slot_seconds"] for count in counts]


def _chart(lines: dict[str, Timeline], title: str, y: Axis, values: Callable[[Timeline], Values]) -> Chart:
    longest = max(lines.values(), key=lambda line: len(line["users"]))
    slots = len(longest["users"])
    at = [round(slot * longest["slot_seconds"], 3) for slot in range(slots)]
    series: list[Series] = []
    for twin, line in lines.items():
        known = [rounded(value) for value in values(line)]
        series.append({"name": twin, "style": twin, "values": known + [None] * (slots - len(known))})
    drawn = chart(title, axis("seconds", "value"), y, at, series)
    drawn["marks"] = _changes(longest)
    return drawn


def _changes(line: Timeline) -> list[Mark]:
    """Mark each slot from which on there are other users than before."""
    steps = enumerate(pairwise([0, *line["users"]]))
    return [
        {"at": round(slot * line["slot_seconds"], 3), "text": str(now)}
        for slot, (before, now) in steps
        if now not in (before, 0)
    ]
