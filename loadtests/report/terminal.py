"""The tables at the end of a run, for a terminal."""

from collections.abc import Callable
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table

from loadtests.analysis.results import Results
from loadtests.analysis.summary import (
    LevelId,
    counted,
    failures,
    is_smoke,
    knee,
    level_ids,
    level_percentile,
    measured,
    over_levels,
    over_trials,
    profiles,
    reasons,
    server_per_thousand,
    subjects,
    to_look_at,
)
from loadtests.load.subjects import FLOOR
from loadtests.report.numbers import FEW, factor, number
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
    """A row for each level and subject: however many were measured, nothing is cut."""
    there = subjects(results)
    few = f"; in brackets: {FEW}" if is_smoke(results) else ""
    table = Table(
        title=f"{profile}: p95, median of the valid trials",
        box=box.SIMPLE_HEAD,
        caption=f"ratio: p95 of the one above over its own; -: invalid, or too few requests{few}",
    )
    for heading in ("level", "", "p95, ms", "ratio", "answers/s", "failed"):
        table.add_column(heading, justify="right" if table.columns[1:] else "left")
    for level in level_ids(results, profile):
        known = [row for place, _ in enumerate(there) if (row := _row(results, there, place, level))]
        for place, row in enumerate(known):
            table.add_row("" if place else level.name, *row, end_section=place == len(known) - 1)
    return table


def _row(results: Results, there: list[str], place: int, level: LevelId) -> list[str]:
    """Return the figures of one subject; nothing where it has no level of that name."""
    subject, is_floor = there[place], there[place] == FLOOR.name
    rate = over_levels(results, subject, level, lambda at: at["achieved_rps"])
    if rate is None and not _ran(results, subject, level):
        return []
    ratio = _ratio(results, there[place - 1], subject, level) if place and not is_floor else ""
    failed = "-" if rate is None else f"{failures(results, subject, level).total():,}"
    return [subject, _p95(results, subject, level), ratio, number(rate, 0), "" if is_floor else failed]


def _ran(results: Results, subject: str, level: LevelId) -> bool:
    trials = [
        each for each in results["trials"] if (each["twin"], each["profile"]) == (subject, level.profile)
    ]
    return any(each["name"] == level.name for trial in trials for each in trial["levels"])


def _p95(results: Results, subject: str, level: LevelId) -> str:
    value = level_percentile(results, subject, level, "p95")
    rough = to_look_at(results, subject, level, "p95")
    return f"({number(rough, 1)})" if value is None and rough is not None else number(value, 1)


def _ratio(results: Results, above: str, subject: str, level: LevelId) -> str:
    for each in results["comparison"]:
        if (each["profile"], each["level"], each["twins"]) == (*level, [above, subject]) and each[
            "p95_ratio"
        ]:
            return factor(each["p95_ratio"]["median"])
    over, under = (to_look_at(results, twin, level, "p95") for twin in (above, subject))
    return f"({factor(over / under)})" if over and under else "-"


def _trials_table(results: Results) -> Table:
    figures: dict[str, Callable[[str], str]] = {
        "lost of\nacknowledged": lambda twin: _lost(results, twin),
        "failed,\nin all": lambda twin: _failed(results, twin),
        "row,\np95 ms": lambda twin: number(_over(results, twin, "freshness_ms"), 0),
        "count,\np95 ms": lambda twin: number(_over(results, twin, "counted_ms"), 0),
        "drain,\ns": lambda twin: number(over_trials(results, twin, lambda trial: trial["drain_seconds"]), 1),
        "CPU s /\n1,000": lambda twin: number(over_trials(results, twin, server_per_thousand), 2),
        "keeps\nup, /s": lambda twin: number(knee(results, twin), 0),
    }
    there = measured(results)
    table = Table(
        title="What it took until every count was in MySQL",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
        caption="lost and failed: of all trials, valid or not; row and count: of an event, in MySQL; "
        "CPU: per 1,000 events",
    )
    table.add_column("", no_wrap=True)
    cells = {name: [figure(twin) for twin in there] for name, figure in figures.items()}
    known = {name: each for name, each in cells.items() if set(each) != {"-"}}
    for name in known:
        table.add_column(name, justify="right", no_wrap=True)
    for place, twin in enumerate(there):
        table.add_row(twin, *(column[place] for column in known.values()))
    return table


def _lost(results: Results, twin: str) -> str:
    """Of all trials: an audit counts whether or not its timing does."""
    found = next(each for each in counted(results) if each.twin == twin)
    return f"{found.lost:,} of {found.acknowledged:,}"


def _failed(results: Results, twin: str) -> str:
    return f"{sum(sum(t['failed'].values()) for t in results['trials'] if t['twin'] == twin):,}"


def _over(results: Results, twin: str, name: Literal["freshness_ms", "counted_ms"]) -> float | None:
    return over_trials(results, twin, lambda trial: trial[name].get("p95"))
