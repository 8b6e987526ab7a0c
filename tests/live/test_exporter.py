"""The generator's view: no line is missed, whenever it is read, and nothing is shown that no longer runs."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client import REGISTRY

from loadtests.live.exporter import View, follow
from loadtests.load.progress import Tail, audit_line, tell
from tests.live.test_live import FOUND
from tests.parts import wait_until

LINE = {
    "users": 20,
    "rate": 300,
    "p95_ms": 12.5,
    "failed": 0,
    "offered": None,
    "profile": "ramp",
    "target": "t",
}
TARGET = {"profile": "ramp", "target": "t", "run": ""}


def write(path: Path, *users: int) -> None:
    with path.open("a") as file:
        for number in users:
            file.write(json.dumps(LINE | {"users": number}) + "\n")


def users(lines: list[dict[str, Any]]) -> list[int]:
    return [line["users"] for line in lines]


def value(name: str, labels: dict[str, str] | None = None) -> float | None:
    return REGISTRY.get_sample_value(name, labels or {})


def test_no_line_of_a_file_that_is_replaced_is_missed(tmp_path: Path) -> None:
    path = tmp_path / "progress"
    tail = Tail(path)
    assert tail.lines() == []
    write(path, 1, 2)
    assert users(tail.lines()) == [1, 2]
    write(path, 3)
    path.unlink()
    write(path, 4)
    assert users(tail.lines() + tail.lines()) == [3, 4]
    path.unlink()
    assert tail.lines() == []
    write(path, 5)
    assert users(tail.lines()) == [5]


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "progress"
    tail = Tail(path)
    with path.open("w") as file:
        for piece in ('{"users"', ": 7}", "\n"):
            assert tail.lines() == []
            file.write(piece)
            file.flush()
        assert tail.lines() == [{"users": 7}]


def test_failures_add_up_over_runs() -> None:
    view, before = View(), value("loadtest_failures_total") or 0
    for failed in (2, 5, 1, 4):  # 5 in one run, 4 in the next
        view.show(LINE | {"failed": failed})
    assert value("loadtest_failures_total") == before + 9


@contextmanager
def following(path: Path) -> Iterator[None]:
    stop = threading.Event()
    shown = threading.Thread(target=follow, args=(Tail(path), View(), stop))
    shown.start()
    try:
        yield
    finally:
        stop.set()
        shown.join()


def test_the_last_line_is_shown_and_then_that_nothing_runs(tmp_path: Path) -> None:
    path = tmp_path / "progress"
    write(path, 10, 20)
    with following(path):
        wait_until(lambda: value("loadtest_users") == 20)
        path.unlink()
        assert value("loadtest_running", TARGET) == 1
        assert value("loadtest_p95_seconds") == 0.0125
        wait_until(lambda: value("loadtest_users") == 0)
        assert value("loadtest_running", TARGET) is None
        assert value("loadtest_achieved_rate") == 0


def test_what_the_audits_found_adds_up_and_is_no_load(tmp_path: Path) -> None:
    path, told = tmp_path / "progress", 0

    def tell_until_silence() -> bool:
        nonlocal told
        tell(path, audit_line("naive_sync", FOUND))
        told += 1
        return value("loadtest_users") == 0

    write(path, 10)
    with following(path):
        wait_until(lambda: value("loadtest_users") == 10)
        assert lost("naive_sync") is None
        wait_until(tell_until_silence)
        wait_until(lambda: lost("naive_sync") == 6 * told)
        assert told > 1
        assert lost("async_dedup") is None


def lost(twin: str) -> float | None:
    return value("loadtest_audited_events", {"twin": twin, "found": "lost"})
