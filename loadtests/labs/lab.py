"""What a lab is: questions, an experiment, and words; whoever asks and answers is apart (`desk.py`)."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from rich.console import Console

from loadtests.stack import Stack

Measured = Any
"""JSON values: what an experiment found."""


class Bench(Protocol):
    """What an experiment needs."""

    folder: Path
    """The learner's own, for what they edit."""
    live_port: int
    """Of the learner's own live page."""

    def stack(self, **settings: Any) -> AbstractContextManager[Stack]: ...

    def quiet(self) -> AbstractContextManager[None]:
        """For what is timed: others who share the machine wait, or are waited for."""

    def step(self, text: str) -> None:
        """Tell what begins now."""


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that people give, and the hint that fits it."""

    is_made: Callable[[float, Measured], bool]
    hint: str | Callable[[Measured], str]


@dataclass(frozen=True)
class Question:
    """Its truth is what was measured on this machine, never a fixed number."""

    ask: str
    truth: Callable[[Measured], float]
    within: float
    """Share of the truth by which an answer may be off."""
    unit: str = ""
    mistakes: Sequence[Mistake] = ()
    least: float = 0.0
    """By which it may be off in any case, in the unit."""
    show: Callable[[Bench, Console, Measured], AbstractContextManager[None]] | None = None
    """What it is about, before it is asked and as often as the learner likes; to be seen until it ends."""
    hints: Sequence[str] = ()
    """For whoever asks, one at a time; a prediction has none."""
    choices: int = 0
    """Where one of so many is asked for, by its number from 1 on."""
    solution: Callable[[Measured], str] = lambda _: ""
    """Told to whoever asks, and once it is answered; a prediction has none."""

    def is_right(self, answer: float, measured: Measured) -> bool:
        truth = self.truth(measured)
        return abs(answer - truth) <= max(self.within * abs(truth), self.least)

    def hint(self, answer: float, measured: Measured) -> str | None:
        """Return the one that fits this mistake; None where it is none that we know."""
        found = next((each.hint for each in self.mistakes if each.is_made(answer, measured)), None)
        return found(measured) if callable(found) else found


@dataclass(frozen=True)
class Knob:
    """The one thing that a learner changes."""

    about: str
    default: float
    least: float
    most: float
    unit: str = ""
    is_whole: bool = False
    """Whether it counts something."""


def copied(bench: Bench, original: Path, lab: int) -> Path:
    """Return the learner's copy of a file, made where there is none."""
    path = bench.folder / f"lab-{lab}" / original.name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(original, path)
    return path


class Verdict(NamedTuple):
    is_done: bool
    why: str


@dataclass(frozen=True)
class Task:
    """Something to be done in a file of the learner's own."""

    about: str
    file: Callable[[Bench], Path]
    """Makes it where it is not there."""
    verify: Callable[[Bench], Verdict]
    """Tries it on this machine."""
    hints: Sequence[str]
    solutions: str
    """The folder of some."""


@dataclass(frozen=True)
class Lab:
    number: int
    title: str
    minutes: int
    """That it takes, about."""
    idea: str
    """What it is about, before anything is asked."""
    predict: Question
    """Asked before the experiment; judged by it, and passed over."""
    knob: Knob
    measure: Callable[[Bench, float], Measured]
    """With a value of the knob."""
    show: Callable[[Console, Measured], None]
    explain: Callable[[Measured], str]
    checks: Sequence[Question]
    """Of the last experiment; all have to be answered."""
    passed: str
    """What is to be kept in mind, said at the end."""
    task: Task | None = None
    is_timed: bool = False
    """Whether other work on the machine would spoil what it shows or judges: it wants a quiet one."""

    @property
    def page(self) -> str:
        return f"workshop/lab-{self.number}.md"
