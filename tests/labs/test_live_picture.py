"""What a lab measures is drawn while it does, by the live page alone of all that watches."""

import os
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from loadtests.labs.__main__ import RealBench
from loadtests.labs.trace import send
from loadtests.live.feed import Feed
from loadtests.live.server import serve
from loadtests.load.progress import PROGRESS, step_line, tell
from loadtests.stack.place import Place
from shared.settings import environment
from tests.conftest import free_settings
from tests.observed import seen
from tests.parts import wait_until

OF_ANOTHER_RUN = "ramp, pair 1 of 3"


def test_a_lab_is_drawn_while_it_measures(installed_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(free_settings()).items():
        monkeypatch.setenv(name, value)
    tell(installed_dir / PROGRESS, step_line(OF_ANOTHER_RUN))
    screen = StringIO()
    bench = RealBench(Console(file=screen, width=80), installed_dir, Place(installed_dir, {}))
    with bench.stack() as stack:
        url = stack.base_url("live")
        assert stack.observers() == ("live",)
        assert os.getpriority(os.PRIO_PROCESS, stack.pid("live")) > os.getpriority(os.PRIO_PROCESS, 0)
        stack.start("naive_sync")
        send(stack.base_url("naive_sync"), "drawn")
        wait_until(lambda: "naive_sync" in seen(url)[-1]["charts"]["rates"])
        assert all(sample["step"] is None for sample in seen(url))
    with bench.stack():
        pass
    assert screen.getvalue().count(f"live picture, while it measures: {url}\n") == 1
    with serve(bench.live_port, Feed(), 1.0) as replayed:  # as lab 9 does, which may come next
        assert replayed == url
