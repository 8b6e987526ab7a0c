"""What the bench shows while it runs, and the table at its end."""

import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Literal, Self

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from loadtests.analysis.results import Results
from loadtests.analysis.summary import (
    TWINS,
    LevelId,
    failures,
    knee,
    level_ids,
    over_levels,
    over_trials,
    percentile,
    profiles,
    reasons,
    server_per_thousand,
    subjects,
    trials_of,
)
from loadtests.report.markdown import factor
from loadtests.report.verdict import verdict
from loadtests.trial import generator

PLAIN_EVERY = 5.0
"""Seconds between two lines where the output is no terminal."""


class Display:
    """A progress line on a terminal, plain lines elsewhere."""

    def __init__(self, console: Console, planned_seconds: float) -> None:
        self._console = console
        self._planned = planned_seconds
        self._started = time.monotonic()
        self._step = ""
        self._next_plain = 0.0
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(20),
            TextColumn("{task.fields[left]}"),
            console=console,
        )
        self._bar = self._progress.add_task("", total=planned_seconds, left="")

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """Tell what stays to be read."""
        self._console.print(text, highlight=False, soft_wrap=True)

    def step(self, text: str) -> None:
        """Tell what begins now."""
        self._step, self._next_plain = text, 0.0
        self._show(text)

    def load(self, now: generator.Progress) -> None:
        """Tell how the load goes."""
        failed = now["failed"]
        p95 = f"{now['p95_ms']:,.0f} ms" if now["p95_ms"] is not None else "-"
        self._show(
            f"{self._step}: {now['users']} users, {now['rate']:,}/s, p95 so far {p95}, {failed:,} failed"
        )

    def _show(self, text: str) -> None:
        spent = time.monotonic() - self._started
        left = f"{_clock(max(0.0, self._planned - spent))} left"
        if self._console.is_terminal:
            self._progress.update(self._bar, completed=spent, description=text, left=left)
        elif time.monotonic() >= self._next_plain:
            self._next_plain = time.monotonic() + PLAIN_EVERY
            self._console.print(f"{text} ({left})", highlight=False, soft_wrap=True)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def show_results(console: Console, results: Results) -> None:
    """Print the tables, the verdict, and what was left out of both."""
    for profile in profiles(results):
        console.print(_levels_table(results, profile))
    console.print(_trials_table(results))
    console.print(verdict(results), highlight=False)
    for trial in results["trials"]:
        for reason in reasons(trial):
            console.print(
                f"Left out: {trial['profile']}, pair {trial['pair']}, {trial['twin']}: {reason}",
                highlight=False,
            )


def _levels_table(results: Results, profile: str) -> Table:
    there = subjects(results)
    table = Table(
        title=f"{profile}: p95 in milliseconds, median of the trials",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
        caption="ratio: naive_sync / async_dedup; -: invalid, or too few requests",
    )
    for heading in ("level", *there, "ratio", "requests/s", "failed"):
        table.add_column(heading, justify="right", no_wrap=True)
    ratios = {
        LevelId(each["profile"], each["level"]): factor(each["p95_ratio"]["median"])
        for each in results["comparison"]
        if each["twins"] == [*TWINS] and each["p95_ratio"]
    }
    for level in level_ids(results, profile):
        p95s = [_number(percentile(results, each, level, "p95")) for each in there]
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
    counts = [trial["reconcile"] for trial in trials_of(results, twin)]
    return f"{sum(c['lost'] for c in counts):,} of {sum(c['acknowledged'] for c in counts):,}"


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
