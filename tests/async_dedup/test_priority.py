"""The worker's place behind those who answer: by what waits, and only where its session is its own."""

import os
import time
from pathlib import Path

import pytest

from async_dedup.priority import AUTOGROUP, KEPT, Priority
from loadtests.stack import Stack
from tests.client import eventually, log


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "autogroup"
    path.write_text("as it was")
    return path


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch, file: Path) -> Priority:
    monkeypatch.setattr(os, "getsid", lambda _: os.getpid())
    made = Priority()
    made.take(file)
    return made


def test_it_comes_last_until_too_much_waits(own: Priority, file: Path, clock: list[float]) -> None:
    own.work(in_a_hurry=False)
    assert file.read_text() == "10"
    own.work(in_a_hurry=True)
    assert file.read_text() == "0"
    clock[0] += KEPT - 0.1
    own.work(in_a_hurry=False)
    assert file.read_text() == "0", "a hurry lasts a while"
    clock[0] += 0.2
    own.work(in_a_hurry=False)
    assert file.read_text() == "10"


def test_what_the_kernel_refuses_is_tried_again(own: Priority, file: Path) -> None:
    file.unlink()
    file.mkdir()
    own.work(in_a_hurry=False)
    file.rmdir()
    own.work(in_a_hurry=False)
    assert file.read_text() == "10"


def test_a_session_of_others_stays_as_it_is(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getsid", lambda _: os.getpid() + 1)
    made = Priority()
    made.work(in_a_hurry=False)
    made.take(file)
    made.work(in_a_hurry=False)
    assert file.read_text() == "as it was"


def test_a_kernel_without_autogroups_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getsid", lambda _: os.getpid())
    made = Priority()
    made.take(tmp_path / "none")
    made.work(in_a_hurry=False)
    assert not (tmp_path / "none").exists()


def test_the_worker_takes_it(stack: Stack, async_url: str) -> None:
    if not AUTOGROUP.exists():
        return
    log(async_url, "behind")
    of_worker = Path(f"/proc/{stack.pid('worker')}/autogroup")
    eventually(lambda: of_worker.read_text().endswith("nice 10\n"), "the worker comes last")
    assert Path(f"/proc/{stack.pid('async_dedup')}/autogroup").read_text().endswith("nice 0\n")
