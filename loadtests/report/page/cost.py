"""What an answer costs: where its time goes, what each process computes, and when the work is really done."""

from collections.abc import Callable

from loadtests.analysis.results import Results, Trial
from loadtests.analysis.summary import client_mean, measured, per_thousand, profiles, trials_of
from loadtests.report.numbers import short
from loadtests.report.page.figures import closed_profiles, merge, spread
from loadtests.report.page.latency import MILLISECONDS, with_spread
from loadtests.report.page.parts import Chart, Panel, Section, Table, View, axis, bars, chart, panel, table

Parts = dict[str, float]


def time_spent(results: Results) -> Section:
    return {
        "id": "where",
        "title": "Where the time went",
        "note": "The mean request, by the twin's own clock: waiting for a connection (pool), in MySQL, "
        "in Redis, in the rest of the request; and outside, what the client waited beyond that: "
        "in the network, in the server's queue, for a free thread. Medians of the valid "
        "trials, over all their levels. A long time outside is a twin with more requests than it can "
        "take up.",
        "parts": _by_profile(
            "where",
            results,
            closed_profiles(results),
            lambda trials: bars("mean request", "ms", {t: _medians(trials[t], _time) for t in trials}),
        ),
    }


def cpu(results: Results) -> Section:
    parts = _by_profile(
        "cpu",
        results,
        profiles(results),
        lambda trials: bars(
            "CPU of all servers",
            "CPU seconds per 1,000 events",
            {twin: _medians(trials[twin], _servers) for twin in trials},
        ),
    )
    return {
        "id": "cpu",
        "title": "What 1,000 events cost",
        "note": "CPU seconds of each server process per 1,000 acknowledged events, from before the load to "
        "the end of the drain; medians of the valid trials. A twin that is fast because it computes "
        "more has a longer bar. The load generator is no part of a twin, so it is only in the table.",
        "parts": [*parts, *_tables(results, _costs)],
    }


def finished(results: Results) -> Section:
    return {
        "id": "freshness",
        "title": "Until it is in MySQL",
        "note": "An answer is not the end of the work. Probes send new events through the whole trial and "
        "look for them in MySQL: 95 of 100 were answered, had their row, and were counted within this "
        "time. Medians of the valid trials, whiskers from the smallest to the largest. The drain is "
        "the time from the end of the load until MySQL's total stands still: a long one is a debt.",
        "parts": [
            *_by_profile("freshness", results, profiles(results), _freshness),
            *_tables(results, _finish),
        ],
    }


def _by_profile(
    name: str, results: Results, names: list[str], draw: Callable[[dict[str, list[Trial]]], Chart]
) -> list[Panel | Table]:
    """Return a panel with a view for each profile; `draw` is given the valid trials by twin."""
    views: list[View] = []
    for profile in names:
        trials = {twin: trials_of(results, twin, profile) for twin in measured(results)}
        views.append({"name": profile, "charts": [draw(trials)]})
    return panel(name, views, control="Profile")


def _tables(results: Results, value: Callable[[Trial], Parts]) -> list[Panel | Table]:
    """Return a table for each profile: the medians of all that `value` names, by twin."""
    tables: list[Panel | Table] = []
    columns_of = measured(results)
    for profile in profiles(results):
        columns = {twin: _medians(trials_of(results, twin, profile), value) for twin in columns_of}
        names = dict.fromkeys(name for column in columns.values() for name in column)
        rows = [[name, *(short(columns[twin].get(name)) for twin in columns_of)] for name in names]
        if rows:
            heads = ["median of the valid trials", *columns_of]
            tables.append(table(heads, rows, f"Profile {profile}, in figures", folded=bool(tables)))
    return tables


def _medians(trials: list[Trial], value: Callable[[Trial], Parts]) -> Parts:
    parts = [value(trial) for trial in trials]
    names = dict.fromkeys(name for each in parts for name in each)
    found = {name: spread(each.get(name) for each in parts) for name in names}
    return {name: each.median for name, each in found.items() if each}


def _time(trial: Trial) -> Parts:
    """Return the parts of the mean request in milliseconds; empty where the twin did not tell."""
    client, request = client_mean(trial), trial["mean_ms"].get("request")
    if client is None or request is None:
        return {}
    inside = {name: ms for name, ms in trial["mean_ms"].items() if name != "request"}
    return {
        "rest of the request": max(0.0, request - sum(inside.values())),
        **inside,
        "outside": max(0.0, client - request),
    }


def _servers(trial: Trial) -> Parts:
    return {name: seconds for name, seconds in per_thousand(trial).items() if name != "generator"}


def _costs(trial: Trial) -> Parts:
    events = trial["reconcile"]["acknowledged"]
    costs = {f"{name}, CPU seconds per 1,000 events": each for name, each in per_thousand(trial).items()}
    costs |= {f"{name}, peak memory in MB": each for name, each in trial["memory_mb"].items()}
    if events:
        costs |= {
            f"{name}, kB written per event": mb * 1000 / events for name, mb in trial["written_mb"].items()
        }
        if trial["statements"] is not None:
            costs["MySQL statements per event"] = trial["statements"] / events
    return costs


def _freshness(trials: dict[str, list[Trial]]) -> Chart:
    steps: dict[str, Callable[[Trial], float | None]] = {
        "answered": _answered,
        "row in MySQL": lambda trial: trial["freshness_ms"].get("p95"),
        "counted in MySQL": lambda trial: trial["counted_ms"].get("p95"),
    }
    series = [
        with_spread(twin, [spread(value(trial) for trial in each) for value in steps.values()])
        for twin, each in trials.items()
    ]
    drawn = chart("p95", axis("", "category"), MILLISECONDS, list(steps), series)
    drawn["kind"] = "points"
    return drawn


def _answered(trial: Trial) -> float | None:
    """Return the p95 of all levels together."""
    merged = merge(trial["levels"])
    return merged.get_value_at_percentile(95) / 1000 if merged else None


def _finish(trial: Trial) -> Parts:
    named = {"row in MySQL": trial["freshness_ms"], "counted in MySQL": trial["counted_ms"]}
    times = {
        f"{name}, {percentile}, ms": ms
        for name, percentiles in named.items()
        for percentile in ("p50", "p95", "max")
        if (ms := percentiles.get(percentile)) is not None
    }
    return {**times, "drain, s": trial["drain_seconds"]}
