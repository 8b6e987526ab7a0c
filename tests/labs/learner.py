"""A learner at a terminal: goes through a lab as its page begins it, and answers by what was measured."""

import os
import re
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from loadtests.bootstrap import ROOT
from loadtests.labs.__main__ import LABS
from loadtests.labs.lab import Measured
from loadtests.labs.progress import WORKSHOP, Progress
from loadtests.stack.place import LEARNERS
from tests.client import eventually
from tests.terminal import surroundings

LIMIT = 180.0
"""Seconds that an experiment may take, on a busy machine too."""


class Sitting(NamedTuple):
    said: str
    measured: list[Measured]
    """By the values of the knob, its own first."""


class Terminal:
    """A command that runs, and asks."""

    def __init__(self, command: str, run_dir: Path, screen: IO[str]) -> None:
        self._screen = screen
        self.process = subprocess.Popen(
            shlex.split(command),
            env=surroundings(run_dir, command),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=screen,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def type(self, line: object) -> None:
        assert self.process.stdin
        print(line, file=self.process.stdin, flush=True)

    def said(self) -> str:
        return Path(self._screen.name).read_text()

    def wait_for(self, text: str) -> None:
        eventually(lambda: text in self.said() or self.has_ended(), f"{text!r} is said", LIMIT)
        assert text in self.said()

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def interrupt(self) -> None:
        """Ctrl-C, which all of the terminal's processes get."""
        os.killpg(self.process.pid, signal.SIGINT)


@contextmanager
def terminal(command: str, run_dir: Path) -> Iterator[Terminal]:
    """Nothing of it is left at the end of the block, whatever happens in it."""
    with tempfile.NamedTemporaryFile("w", prefix="twins-") as screen:
        shown = Terminal(command, run_dir, screen)
        try:
            yield shown
        finally:
            if not shown.has_ended():
                os.killpg(shown.process.pid, signal.SIGTERM)
            shown.process.communicate(timeout=LIMIT)


def go_through(command: str, run_dir: Path, knob: Sequence[float] = ()) -> Sitting:
    """Predict 0, turn the knob to these values, answer every check, and leave."""
    lab = LABS[int(re.findall(r"N=(\d+)", command)[0])]
    user = re.findall(r"LAB_USER=(\S+)", command)
    folder = run_dir.joinpath(*([LEARNERS, *user] if user else []), WORKSHOP)
    measured: list[Measured] = []
    with terminal(command, run_dir) as shown:

        def is_measured(value: float) -> bool:
            state = Progress(folder).of(lab.number)
            return shown.has_ended() or ("measured" in state and state["knob"] == value)

        for typed, value in ((0, lab.knob.default), *((each, each) for each in knob)):
            shown.type(typed)
            eventually(partial(is_measured, value), "the lab has measured", LIMIT)
            assert not shown.has_ended(), shown.said()
            measured.append(Progress(folder).of(lab.number)["measured"])
        answers = [question.truth(measured[-1]) for question in lab.checks]
        for line in ("", *answers, "q"):
            shown.type(line)
        shown.process.wait(LIMIT)
        assert shown.process.returncode == 0, shown.said()
        return Sitting(shown.said(), measured)
