"""The sections of RESULTS.md about what comes after the answer, what it costs, and where the time goes."""

from collections.abc import Callable, Mapping

from loadtests.analysis.results import Results, Trial
from loadtests.analysis.summary import (
    client_mean,
    over_trials,
    per_thousand,
    server_per_thousand,
    subjects,
    trials_of,
)
from loadtests.report.markdown import table
from loadtests.report.numbers import short

Figure = Callable[[Trial], float | None]


def until_recorded(results: Results, profile: str) -> str:
    figures: dict[str, Figure] = {
        "first event to its row, p50, ms": lambda trial: trial["freshness_ms"].get("p50"),
        "first event to its row, p95, ms": lambda trial: trial["freshness_ms"].get("p95"),
        "first event to its count, p50, ms": lambda trial: trial["counted_ms"].get("p50"),
        "first event to its count, p95, ms": lambda trial: trial["counted_ms"].get("p95"),
        "drain after the load, s": lambda trial: trial["drain_seconds"],
    }
    return f"### Until it is in MySQL\n\n{_table(results, profile, figures)}"


def cost(results: Results, profile: str) -> str:
    cpu = {
        f"CPU s, {name}": _cpu(name) for name in _names(results, profile, lambda each: each["cpu_seconds"])
    }
    memory = {
        f"{name}, MB": _memory(name) for name in _names(results, profile, lambda each: each["memory_mb"])
    }
    written = {
        f"MB written, {name}": _written(name)
        for name in _names(results, profile, lambda each: each["written_mb"])
    }
    statements: dict[str, Figure] = {
        "SQL statements": lambda trial: _per_thousand(trial, trial["statements"]),
    }
    total: dict[str, Figure] = {"CPU s, all but the generator": server_per_thousand}
    return f"""### What it costs, per 1,000 acknowledged events

{_table(results, profile, cpu | total | written | statements)}

### Peak memory

{_table(results, profile, memory)}"""


def time_spent(results: Results, profile: str) -> str:
    figures: dict[str, Figure] = {
        "a client waits": client_mean,
        "of it, in the app": lambda trial: trial["mean_ms"].get("request"),
        "of that, waiting for a connection of the pool": lambda trial: trial["mean_ms"].get("pool"),
        "of that, waiting for MySQL": lambda trial: trial["mean_ms"].get("mysql"),
        "of that, waiting for Redis": lambda trial: trial["mean_ms"].get("redis"),
    }
    return f"### Where the time goes: mean milliseconds of a request\n\n{_table(results, profile, figures)}"


def _table(results: Results, profile: str, figures: Mapping[str, Figure]) -> str:
    twins = subjects(results)[:-1]
    rows = [
        [name, *(short(over_trials(results, twin, value, profile)) for twin in twins)]
        for name, value in figures.items()
    ]
    return table(["", *twins], rows)


def _names(results: Results, profile: str, values: Callable[[Trial], Mapping[str, float]]) -> list[str]:
    """Return the processes that any trial knows, in the order in which they come."""
    trials = [trial for twin in subjects(results)[:-1] for trial in trials_of(results, twin, profile)]
    return list(dict.fromkeys(name for trial in trials for name in values(trial)))


def _cpu(name: str) -> Figure:
    return lambda trial: per_thousand(trial).get(name)


def _memory(name: str) -> Figure:
    return lambda trial: trial["memory_mb"].get(name)


def _written(name: str) -> Figure:
    return lambda trial: _per_thousand(trial, trial["written_mb"].get(name))


def _per_thousand(trial: Trial, value: float | None) -> float | None:
    events = trial["reconcile"]["acknowledged"]
    return None if value is None or not events else value * 1000 / events
