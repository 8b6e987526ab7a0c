"""The tables at the end of a run, for a terminal."""

from collections.abc import Callable, Iterable
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table

from loadtests.analysis.results import Results
from loadtests.analysis.summary import (
    LevelId,
    counted,
    ends,
    failures,
    knee,
    level_ids,
    level_percentile,
    over_levels,
    over_trials,
    profiles,
    reasons,
    server_per_thousand,
    subjects,
)
from loadtests.report.numbers import factor
from loadtests.report.verdict import alarm, findings

ALARM = "bold red"


def show_results(console: Console, results: Results) -> None:
    """Print the tables, the verdict, and what was left out of both."""
    if wrong := alarm(results):
        console.print(wrong, style=ALARM, soft_wrap=True)
    for profile in profiles(results):
        console.print(_levels_table(results, profile))
    console.print(_trials_table(results))
    console.print(findings(results), highlight=False)
    for trial in results["trials"]:
        for reason in reasons(trial):
            console.print(
                f"Left out: {trial['profile']}, pair {trial['pair']}, {trial['twin']}: {reason}",
                highlight=False,
            )


def _levels_table(results: Results, profile: str) -> Table:
    there, twins = subjects(results), ends(results)
    table = Table(
        title=f"{profile}: p95 in milliseconds, median of the trials",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
        caption=f"ratio: {' / '.join(twins or there)}; -: invalid, or too few requests",
    )
    for heading in ("level", *there, "ratio", "requests/s", "failed"):
        table.add_column(heading, justify="right", no_wrap=True)
    ratios = {
        LevelId(each["profile"], each["level"]): factor(each["p95_ratio"]["median"])
        for each in results["comparison"]
        if tuple(each["twins"]) == twins and each["p95_ratio"]
    }
    for level in level_ids(results, profile):
        p95s = [_number(level_percentile(results, each, level, "p95")) for each in there]
        rates = (over_levels(results, each, level, lambda at: at["achieved_rps"]) for each in there[:-1])
        failed = (sum(failures(results, each, level).values()) for each in there[:-1])
        table.add_row(level.name, *p95s, ratios.get(level, "-"), _all(rates), _all(failed))
    return table


def _trials_table(results: Results) -> Table:
    figures: dict[str, Callable[[str], str]] = {
        "acknowledged events lost": lambda twin: _lost(results, twin),
        "event to its row (p95)": lambda twin: _ms(_over(results, twin, "freshness_ms")),
        "event to its count (p95)": lambda twin: _ms(_over(results, twin, "counted_ms")),
        "drain after the load": lambda twin: _seconds(
            over_trials(results, twin, lambda trial: trial["drain_seconds"]), 1
        ),
        "CPU per 1,000 events": lambda twin: _seconds(over_trials(results, twin, server_per_thousand), 2),
        "keeps up with": lambda twin: _rate(knee(results, twin)),
    }
    there = subjects(results)[:-1]
    table = Table(title="What it took until every count was in MySQL")
    for heading in ("", *there):
        table.add_column(heading, justify="right" if heading else "left")
    for name, figure in figures.items():
        table.add_row(name, *map(figure, there))
    return table


def _lost(results: Results, twin: str) -> str:
    """Of all trials: an audit counts whether or not its timing does."""
    found = next(each for each in counted(results) if each.twin == twin)
    return f"{found.lost:,} of {found.acknowledged:,}"


def _over(results: Results, twin: str, name: Literal["freshness_ms", "counted_ms"]) -> float | None:
    return over_trials(results, twin, lambda trial: trial[name].get("p95"))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f} ms"


def _seconds(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f} s"


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}/s"


def _all(values: Iterable[float | None]) -> str:
    return " / ".join("-" if value is None else f"{value:,.0f}" for value in values)
