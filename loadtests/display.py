"""What the bench shows while it runs, and the table at its end."""

import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from loadtests import generator
from loadtests.results import Results
from loadtests.summary import (
    TWINS,
    LevelId,
    failures,
    level_ids,
    over_levels,
    over_trials,
    percentile,
    profiles,
    reasons,
    server_per_thousand,
    trials_of,
)
from loadtests.verdict import verdict

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
    """Print the tables and the verdict."""
    console.print(_levels_table(results))
    console.print(_trials_table(results))
    console.print(verdict(results), highlight=False)
    for trial in results["trials"]:
        for reason in reasons(trial):
            console.print(f"Left out: pair {trial['pair']}, {trial['twin']}: {reason}", highlight=False)


def _levels_table(results: Results) -> Table:
    title = "95 of 100 requests were answered within (p95, median of the trials)"
    table = Table(title=title, caption="ratio: naive_sync / async_dedup; floor: a handler that does nothing")
    for heading in ("level", *TWINS, "ratio", "floor", "requests/s", "failed"):
        table.add_column(heading, justify="right", no_wrap=True)
    ratios = {
        LevelId(each["profile"], each["level"]): f"{each['p95_ratio']['median']:.2f}"
        for each in results["comparison"]
        if each["twins"] == [*TWINS] and each["p95_ratio"]
    }
    for level in [each for profile in profiles(results) for each in level_ids(results, profile)]:
        naive, async_, floor = (_ms(percentile(results, t, level, "p95")) for t in (*TWINS, "floor"))
        rates = (over_levels(results, twin, level, lambda each: each["achieved_rps"]) for twin in TWINS)
        failed = (sum(failures(results, twin, level).values()) for twin in TWINS)
        ratio = ratios.get(level, "-")
        table.add_row(level.name, naive, async_, ratio, floor, _both(rates), _both(failed))
    return table


def _trials_table(results: Results) -> Table:
    table = Table(title="What it took until every count was in MySQL")
    for heading in ("", *TWINS):
        table.add_column(heading, justify="right" if heading else "left")
    counts = {twin: [trial["reconcile"] for trial in trials_of(results, twin)] for twin in TWINS}
    lost = [
        f"{sum(c['lost'] for c in counts[t]):,} of {sum(c['acknowledged'] for c in counts[t]):,}"
        for t in TWINS
    ]
    table.add_row("acknowledged events lost", *lost)
    fresh = [
        _ms(over_trials(results, twin, lambda trial: trial["freshness_ms"].get("p95"))) for twin in TWINS
    ]
    table.add_row("event to its row (p95)", *fresh)
    counted = [
        _ms(over_trials(results, twin, lambda trial: trial["counted_ms"].get("p95"))) for twin in TWINS
    ]
    table.add_row("event to its count (p95)", *counted)
    drain = [over_trials(results, twin, lambda trial: trial["drain_seconds"]) for twin in TWINS]
    table.add_row(
        "drain after the load", *(f"{value:.1f} s" if value is not None else "-" for value in drain)
    )
    cpu = [over_trials(results, twin, server_per_thousand) for twin in TWINS]
    table.add_row("CPU per 1,000 events", *(f"{value:.2f} s" if value is not None else "-" for value in cpu))
    return table


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f} ms"


def _both(values: Iterable[float | None]) -> str:
    return " / ".join("-" if value is None else f"{value:,.0f}" for value in values)
