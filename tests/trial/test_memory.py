"""The peak of a process that takes memory and gives it back."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from loadtests.trial import memory
from loadtests.trial.memory import PeakMemory

TAKER = """
import mmap, sys
for megabytes in map(int, sys.stdin):
    with mmap.mmap(-1, megabytes * 1_000_000) as taken:
        taken.write(bytes(1) * len(taken))
        print("taken", flush=True)
        sys.stdin.readline()
    print("given back", flush=True)
"""


class Taker:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def say(self, line: str) -> str:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def take(self, megabytes: int) -> None:
        assert self.say(str(megabytes)) == "taken"

    def give_back(self) -> None:
        assert self.say("") == "given back"


@pytest.fixture
def taker() -> Iterator[Taker]:
    with subprocess.Popen(
        [sys.executable, "-c", TAKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Taker(process)
        process.kill()


def test_the_peak_is_of_this_time_and_stays_when_memory_is_given_back(taker: Taker) -> None:
    taker.take(200)
    taker.give_back()
    peak = PeakMemory({"app": [taker.process.pid]})
    taker.take(60)
    taker.give_back()
    assert 60 < peak.end()["app"] < 150


def test_where_no_peak_is_kept_it_is_sampled(taker: Taker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_begin_anew", lambda _: False)
    taker.take(60)
    peak = PeakMemory({"app": [taker.process.pid]})
    assert 60 < peak.end()["app"] < 150


def test_the_processes_of_a_role_are_added_up(taker: Taker) -> None:
    taker.take(1)  # it has started, and needs no more from here on
    taker.give_back()
    pid = taker.process.pid
    both = PeakMemory({"one": [pid], "two": [pid, pid]}).end()
    assert both["two"] == 2 * both["one"]


def test_a_process_that_ended_has_no_peak(taker: Taker) -> None:
    peak = PeakMemory({"app": [taker.process.pid], "none": []})
    taker.process.kill()
    taker.process.wait()
    assert peak.end() == {}
