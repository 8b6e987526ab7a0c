"""Metrics of a server with several processes: each scrape gets the sum of them, whichever process answers it.

They share files in the folder that PROMETHEUS_MULTIPROC_DIR names, which the stack sets, empty at each start,
for servers with `TWINS_WORKERS` above 1. Without it all stays in memory, and costs the hot path nothing.
"""

import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, Gauge, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from shared import upkeep

FOLDER = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
REFRESH = 0.5


class LiveProcesses(Collector):
    """What all processes have counted, and the gauges of those that live."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._files = MultiProcessCollector(None, folder)  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[Metric]:
        """Looks itself who has died: gunicorn would tell, uvicorn does not."""
        for file in Path(self._folder).glob("gauge_live*.db"):
            pid = int(file.stem.rpartition("_")[2])
            if not lives(pid):
                with suppress(FileNotFoundError):  # another process has just done it
                    mark_process_dead(pid, self._folder)  # type: ignore[no-untyped-call]
        yield from self._files.collect()  # type: ignore[no-untyped-call]


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def shared_registry(folder: str) -> CollectorRegistry:
    combined = CollectorRegistry()
    combined.register(LiveProcesses(folder))
    return combined


registry = shared_registry(FOLDER) if FOLDER else REGISTRY
"""What `/metrics` shows; of a single process beside its histograms (`exposition.py`)."""


def show(gauge: Gauge, value: Callable[[], float]) -> None:
    """Shows `value` as it is at each scrape; of several processes as it was `REFRESH` seconds ago at most."""
    if not FOLDER:
        gauge.set_function(value)
        return

    ended = threading.Event()

    def keep() -> None:
        gauge.set(value())
        while not ended.wait(REFRESH):
            gauge.set(value())

    upkeep.begin(keep, ended.set)
