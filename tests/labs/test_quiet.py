"""What is timed takes turns among those who share a machine, and says so."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loadtests.bootstrap import ROOT
from loadtests.labs import quiet as quiet_module
from loadtests.labs.quiet import quiet
from loadtests.stack.place import LAB_USER
from tests.labs.learner import terminal
from tests.parts import LIMIT, wait_until

HOLD = """
import sys
from pathlib import Path
from loadtests.labs.quiet import quiet

with quiet(Path(sys.argv[1]), print):
    print("measures", flush=True)
    sys.stdin.read()
"""


@contextmanager
def measuring(run_dir: Path, name: str) -> Iterator["subprocess.Popen[str]"]:
    """Another learner's process, which goes on measuring until it is killed."""
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run_dir)],
        env={**os.environ, LAB_USER: name},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout
    try:
        while other.stdout.readline() != "measures\n":
            assert other.poll() is None
        yield other
    finally:
        other.kill()
        other.communicate()


def test_who_comes_later_is_told_of_whom_and_goes_on_when_that_one_is_gone(run_dir: Path) -> None:
    said: list[str] = []
    measured = threading.Event()

    def measure() -> None:
        with quiet(run_dir, said.append):
            measured.set()

    with measuring(run_dir, "ada") as other:
        waiting = threading.Thread(target=measure)
        waiting.start()
        wait_until(lambda: said)
        assert said[0].startswith("ada measures now")
        assert not measured.is_set()
        other.kill()
        assert measured.wait(LIMIT)
        waiting.join()


def test_one_after_the_other_nobody_waits(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet_module, "MOST_OTHERS", 1.1)
    said: list[str] = []
    for _ in range(2):
        with quiet(run_dir, said.append):
            pass
    assert said == []


def test_a_busy_machine_is_told_of_and_measured_on(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet_module, "MOST_OTHERS", 0.2 / (os.cpu_count() or 1))
    said: list[str] = []
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            with quiet(run_dir, said.append):
                (told,) = said
        finally:
            busy.kill()
    assert "of the CPU time goes to other work on this machine" in told


def test_ctrl_c_leaves_the_queue_at_once(run_dir: Path) -> None:
    command = "make lab N=3 LAB_USER=bob"
    with measuring(run_dir, "ada") as other, terminal(command, run_dir) as lab:
        lab.wait_for("It wants a quiet machine")
        lab.type("5")
        lab.wait_for("ada measures now")
        lab.interrupt()
        assert lab.process.wait(LIMIT) != 0
        assert other.poll() is None
        assert f"left; `{command}` goes on where you were" in lab.said()
