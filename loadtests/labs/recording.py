"""An incident as the metrics of both twins told it: what `record.py` writes, and lab 9 plays and reads."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from loadtests.load.files import write_whole

FOLDER = Path(__file__).parent / "incidents"
DIGITS = 4
"""Behind the point, of each value."""
Values = list[float | None]
"""Of a series, one for each scrape; None where there was no answer, or this series was not in it."""


@dataclass(frozen=True)
class Recording:
    cause: str
    """A name of `causes.CAUSES`."""
    at: list[float]
    """When each scrape was, in seconds after the first."""
    began: float
    ended: float
    """When the cause came and went, in seconds after the first scrape."""
    flush_interval: float
    series: dict[str, dict[str, Values]]
    """By job, then by name and labels as `/metrics` shows them."""

    def exposition(self, job: str, scrape: int) -> str | None:
        """Return what that job answered; None where it did not."""
        told = ((name, values[scrape]) for name, values in self.series[job].items())
        lines = [f"{name} {value}" for name, value in told if value is not None]
        return "\n".join([*lines, ""]) if lines else None


def write(recording: Recording, path: Path) -> None:
    """Of each series the first value and then the differences: most are a digit or two."""
    series = {
        job: {name: _steps(values) for name, values in found.items()}
        for job, found in recording.series.items()
    }
    write_whole(path, json.dumps(asdict(recording) | {"series": series}, separators=(",", ":")) + "\n")


def read(path: Path) -> Recording:
    told = json.loads(path.read_text(encoding="utf-8"))
    series = {
        job: {name: _values(steps) for name, steps in found.items()} for job, found in told["series"].items()
    }
    return Recording(**(told | {"series": series}))


@cache
def recorded(name: str) -> Recording:
    """Return one of those that come along."""
    return read(FOLDER / f"{name}.json")


def names() -> list[str]:
    """Return those of all that come along."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def _steps(values: Sequence[float | None]) -> Values:
    before, steps = 0.0, Values()
    for value in values:
        steps.append(None if value is None else _short(value - before))
        before = before if value is None else value
    return steps


def _values(steps: Sequence[float | None]) -> Values:
    now, values = 0.0, Values()
    for step in steps:
        now = round(now + (step or 0), DIGITS)
        values.append(None if step is None else now)
    return values


def _short(number: float) -> float:
    rounded = round(number, DIGITS)
    return int(rounded) if rounded == int(rounded) else rounded
