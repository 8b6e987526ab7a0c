"""The file in which a run tells how it goes: Locust a line each second, the bench all that happens besides.

Who watches reads it, and while load runs nobody asks MySQL for anything.
"""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, TypedDict

PROGRESS = "progress.jsonl"
"""Its name in the run folder."""
SILENCE = 2.5
"""Seconds without a line, after which nothing runs any more; more than a scrape interval."""
TWIN, STEP, RESULT = "audited", "step", "result"
"""What tells the bench's lines from each other, and from Locust's."""
FOUND = ("acknowledged", "recorded", "lost", "extra")


class Progress(TypedDict):
    """A line of Locust's: `rate` over the last second, `p95_ms` of the level so far, `failed` in all."""

    users: int
    rate: int
    p95_ms: float | None
    failed: int
    failed_by: dict[str, int]
    offered: float | None
    profile: str
    level: str
    target: str


Show = Callable[[Progress], None]


def tell(path: Path, line: Progress | Mapping[str, Any]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


def audit_line(twin: str, counts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an audit found, as a line."""
    return {TWIN: twin, **counts}


def step_line(text: str) -> dict[str, Any]:
    """Return what the bench does from now on, as a line."""
    return {STEP: text}


def result_line(verdict: str, report: Path) -> dict[str, Any]:
    """Return how a run ended, as a line; the page `report` is written after the stack has stopped."""
    return {RESULT: verdict, "report": str(report)}


class Tail:
    """The lines of a file that is written now, deleted and written again; not even the last is missed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None
        self._part = ""

    def lines(self) -> list[dict[str, Any]]:
        """Return what is new, from one file at a time."""
        if self._file is None and self._path.exists():
            self._file, self._part = self._path.open(), ""
        if self._file is None:
            return []
        replaced = self._replaced()  # asked first: until then lines may come
        *whole, self._part = (self._part + self._file.read()).split("\n")
        if replaced:
            self._file.close()
            self._file = None
        return [json.loads(line) for line in whole]

    def _replaced(self) -> bool:
        assert self._file is not None
        try:
            return not os.path.samestat(self._path.stat(), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            return True


class Told:
    """What the bench has told of the run so far."""

    def __init__(self) -> None:
        self.audits: dict[str, dict[str, int]] = {}
        """Their sums, by twin."""
        self.step: str | None = None
        self.result: dict[str, str] | None = None

    def take(self, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Take the bench's lines out of `lines`, and return Locust's."""
        for line in lines:
            if TWIN in line:
                before = self.audits.get(line[TWIN], {})
                self.audits[line[TWIN]] = {name: before.get(name, 0) + line[name] for name in FOUND}
            self.step = line.get(STEP, self.step)
            self.result = line if RESULT in line else self.result
        return [line for line in lines if not line.keys() & {TWIN, STEP, RESULT}]
