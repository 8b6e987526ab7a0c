"""How much a twin answers: by load, at a rate that rises until it no longer keeps up, and what it refused."""

from collections import Counter
from collections.abc import Callable
from statistics import median

from loadtests.analysis.results import Results
from loadtests.analysis.summary import LevelId, failures, knee, level_ids, levels_of, measured, profiles
from loadtests.report.numbers import factor, kinds, number
from loadtests.report.page.figures import (
    Spread,
    achieved,
    closed_profiles,
    everyone,
    latency_spread,
    open_profiles,
)
from loadtests.report.page.latency import LOAD, MILLISECONDS, with_spread
from loadtests.report.page.parts import (
    Axis,
    Chart,
    Panel,
    Section,
    Table,
    View,
    axis,
    bars,
    chart,
    panel,
    rounded,
    table,
)
from loadtests.report.verdict import spread

PER_SECOND = axis("per second", "log")


def rates(results: Results) -> Section:
    parts: list[Panel | Table] = []
    for profile in closed_profiles(results):
        ids = level_ids(results, profile)
        series = [
            with_spread(subject, [achieved(results, subject, level_id) for level_id in ids])
            for subject in everyone(results)
        ]
        drawn = chart("successful answers", LOAD, PER_SECOND, [level_id.name for level_id in ids], series)
        parts += panel(f"rate-{profile}", [{"name": profile, "charts": [drawn]}], f"Profile {profile}")
    return {
        "id": "rate",
        "title": "Achieved rate",
        "note": "Successful answers per second. Each user waits for its answer, thinks 100 ms on average and "
        "sends the next event, so a slow twin is asked less often. Whiskers reach from the smallest "
        "valid trial to the largest. A line that turns flat while the floor still rises is a twin at "
        "its limit.",
        "parts": parts,
    }


def at_offered_rates(results: Results) -> Section:
    parts: list[Panel | Table] = []
    for profile in open_profiles(results):
        charts = [_achieved(results, profile), _latency(results, profile)]
        parts += panel(f"offered-{profile}", [{"name": profile, "charts": charts}])
        parts += _knees(results, profile)
    return {
        "id": "offered",
        "title": "Achieved against offered rate",
        "note": "Here requests come at a fixed rate, whether or not the earlier ones have been answered, and "
        "their latency counts from the moment they were due. The knee, a vertical line, is the "
        "highest rate that a twin kept up with; a twin below the line of what is offered no longer "
        "keeps up. Compare latencies at rates that both twins kept up with: beyond the knee they only "
        "tell how long the overload lasted.",
        "parts": parts,
    }


def _achieved(results: Results, profile: str) -> Chart:
    drawn = _by_rate(
        results, profile, "achieved rate", PER_SECOND, lambda subject, name: achieved(results, subject, name)
    )
    drawn["series"].insert(
        0, {"name": "offered", "style": "offered", "values": [float(x) for x in drawn["at"]]}
    )
    drawn["marks"] = [
        {"at": rounded(rate) or 0.0, "text": twin}
        for twin in everyone(results)
        if (rate := knee(results, twin))
    ]
    return drawn


def _latency(results: Results, profile: str) -> Chart:
    def p95(subject: str, level_id: LevelId) -> Spread | None:
        return latency_spread(results, subject, level_id, "p95")

    return _by_rate(results, profile, "p95", MILLISECONDS, p95)


def _by_rate(
    results: Results, profile: str, title: str, y: Axis, value: Callable[[str, LevelId], Spread | None]
) -> Chart:
    """Return a chart over the offered rate; a level whose rate differs by trial is at the median."""
    points: dict[str, dict[float, Spread | None]] = {subject: {} for subject in everyone(results)}
    for subject, line in points.items():
        for level_id in level_ids(results, profile):
            offered = [level["offered_rps"] or 0.0 for level in levels_of(results, subject, level_id)]
            if offered:
                line[rounded(median(offered)) or 0.0] = value(subject, level_id)
    at = sorted({x for line in points.values() for x in line})
    series = [with_spread(subject, [line.get(x) for x in at]) for subject, line in points.items()]
    return chart(title, axis("offered per second", "log"), y, at, series)


def _knees(results: Results, profile: str) -> list[Panel | Table]:
    rows = [
        [trial["twin"], str(trial["pair"]), number(trial["knee"]["rps"], 0), trial["knee"]["limit"]]
        for trial in results["trials"]
        if trial["profile"] == profile and trial["knee"]
    ]
    if floor := results["floor_knee"]:
        rows.append(["floor", "", number(floor["rps"], 0), floor["limit"]])
    for each in results["capacity"]:
        first, second = each["twins"]
        same = ": indistinguishable" if each["indistinguishable"] else ""
        rows.append(
            [
                f"{second} / {first}",
                "all",
                factor(each["knee_ratio"]["median"]),
                spread(each["knee_ratio"]) + same,
            ]
        )
    return [table(["twin", "pair", "knee, per second", "why not more"], rows, "The knees")] if rows else []


def failed(results: Results) -> Section:
    by_level = {
        f"{level_id.profile}, {level_id.name}": {
            twin: failures(results, twin, level_id) for twin in measured(results)
        }
        for profile in profiles(results)
        for level_id in level_ids(results, profile)
    }
    total = {twin: sum((each[twin] for each in by_level.values()), Counter()) for twin in measured(results)}
    views: list[View] = [
        {"name": name, "charts": [bars("failed requests", "number", of)]}
        for name, of in {"all levels": total, **by_level}.items()
    ]
    parts = [*panel("failures", views, control="Level"), *_where(results)]
    note = (
        "Requests without a success in the valid levels, by status code or by what came instead. They are "
        "in no latency figure: a fast refusal is not speed. 503 is a twin that says no; 500, a twin that "
        "breaks; timeout and connection, one that says nothing."
    )
    if not any(total.values()):
        valid = any(trial["valid"] for trial in results["trials"])
        note = "No request failed in any valid level." if valid else "No trial is valid: see Every trial."
    return {"id": "failures", "title": "Failures", "note": note, "parts": parts}


def _where(results: Results) -> list[Panel | Table]:
    """Return a table of all that failed, by where it fell; nothing where nothing failed anywhere."""
    rows = []
    for twin in measured(results):
        trials = [trial for trial in results["trials"] if trial["twin"] == twin]
        levels = [(trial["valid"] and level["valid"], level) for trial in trials for level in trial["levels"]]
        counted, left_out = (
            sum((Counter(level["failed"]) for valid, level in levels if valid == kept), Counter[str]())
            for kept in (True, False)
        )
        everything = sum((Counter(trial["failed"]) for trial in trials), Counter[str]())
        outside = everything - counted - left_out
        if everything:
            rows.append([twin, *(kinds(each) for each in (counted, left_out, outside))])
    heads = ["twin", "in valid levels", "in levels left out", "outside the levels"]
    note = "Outside the levels: in the warm-up, in the start of a level, or after the last one."
    return [table(heads, rows, "Where the failures fell", note=note)] if rows else []
