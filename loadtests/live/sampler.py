"""Asks what runs for what it has counted, and the generator for what it sees."""

import json
import time
from pathlib import Path
from typing import Any, TypedDict

from loadtests.live.charts import CHARTS, WORKER, Now, Point
from loadtests.live.client_view import Generator
from loadtests.live.counts import STEPS, Growth, Window, ingest, parse
from loadtests.load.progress import PROGRESS
from loadtests.load.subjects import ASYNC, SUBJECTS
from loadtests.stack.observers import targets
from loadtests.stack.roles import HEALTH, ROLES_OF, metrics_address
from loadtests.stack.scrape import fetch
from loadtests.stack.state import State
from shared.settings import Settings

EVERY = 2.0
"""Seconds between two samples: each costs a twin the text of a scrape."""
WINDOW = EVERY * STEPS
"""Seconds that a rate and a twin's p95 are of."""
DEGRADED = ("direct", "spool")
TIMEOUT = 2.0
"""Seconds for one scrape; who does not answer in time has a gap."""


class Sample(TypedDict):
    at: float
    """Unix time."""
    running: list[str]
    """The twins, or who else is measured."""
    load: dict[str, Any] | None
    """As `Load`; None while no load is sent."""
    audits: dict[str, dict[str, int]]
    """Of the run so far, by twin; empty until the first trial has ended."""
    step: str | None
    """What the bench does; None where none has told."""
    result: dict[str, str] | None
    """The verdict, and where the report will be, if there is to be one; None until a run has ended."""
    ingest: dict[str, str] | None
    """State, since when and why, of an async twin that goes on without Redis; None where all is well."""
    charts: dict[str, Point]


class Process:
    """One that answers `/metrics`, and what it did lately."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._window = Window()
        self.grown: Growth | None = None
        self.gauges: dict[str, float] = {}

    def look(self, runs: bool) -> None:
        text = fetch(self.address, TIMEOUT) if runs else None
        if text is None:
            self._window.clear()
            self.grown, self.gauges = None, {}
        else:
            counters, self.gauges = parse(text)
            self.grown = self._window.add(time.monotonic(), counters)


class Sampler:
    def __init__(self, run_dir: Path, settings: Settings, stack_pid: int) -> None:
        self._run_dir, self._stack_pid = run_dir, stack_pid
        addresses = {name: metrics_address(each, settings) for name, each in SUBJECTS.items() if each.app}
        addresses[WORKER] = targets(settings, {})[WORKER]
        self._processes = {role: Process(address) for role, address in addresses.items()}
        self._generator = Generator(run_dir / PROGRESS)

    def sample(self) -> Sample:
        runs = State.read(self._run_dir, self._stack_pid).addresses
        for role, process in self._processes.items():
            # Not whoever listens there: a rung of the ladder takes its twin's port.
            process.look(role in runs)
        grown = {role: process.grown for role, process in self._processes.items() if process.grown}
        load = self._generator.look(time.monotonic(), {address: role for role, address in runs.items()})
        gauges = [self._processes[role].gauges for role in runs if role in SUBJECTS and SUBJECTS[role].behind]
        now = Now(grown, gauges[0] if gauges else {}, load)
        return {
            "at": time.time(),
            "running": [role for role in runs if role in ROLES_OF],
            "load": load and load._asdict(),
            "audits": dict(self._generator.told.audits),
            "step": self._generator.told.step,
            "result": self._generator.told.result,
            "ingest": self._ingest(),
            "charts": {name: chart(now) for name, chart in CHARTS.items()},
        }

    def _ingest(self) -> dict[str, str] | None:
        twin = self._processes[ASYNC]
        if not any(twin.gauges.get(ingest(state)) for state in DEGRADED):
            return None
        text = fetch(twin.address, TIMEOUT, HEALTH)
        found: dict[str, str] | None = json.loads(text)["data"]["ingest"] if text else None
        return found
