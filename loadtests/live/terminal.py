"""How a run goes on, for the terminal that it was started from."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from loadtests.load.progress import Progress

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
        self._progress = Bar(
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

    def load(self, now: Progress) -> None:
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
