"""Locust as a process of its own, on a core of its own."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.load.profiles import OPEN, Profile
from loadtests.load.progress import PROGRESS, Show
from loadtests.load.sender import PATIENCE
from loadtests.load.workload import Mix
from loadtests.stack import Stack, process

LOCUSTFILE = Path("loadtests") / "locustfile.py"
"""From the root, where processes start: Locust would take the whole path apart at commas."""
LOOK_EVERY = 0.25


class TrialFailed(Exception):
    """A trial could not be done; the message is for the person at the terminal."""


@dataclass(frozen=True)
class Load:
    """A profile, and which events are sent."""

    profile: Profile
    seed: int
    part: str = ""
    """Distinguishes the unique events of several runs within a trial; the repeated ones are the same."""
    mix: Mix | None = None


def generate(stack: Stack, base_url: str, load: Load, show: Show) -> dict[str, Any]:
    """Load what listens at `base_url` and return `record.result`, as soon as the last answer is there.

    Raises TrialFailed.
    """
    record, progress = stack.run_dir / "record.json", stack.run_dir / PROGRESS
    for path in (record, progress):
        path.unlink(missing_ok=True)
    log = stack.run_dir / "logs" / "generator.log"
    files = ["--record", str(record), "--progress", str(progress)]
    command = [*_command(base_url, load), *files]
    locust = process.spawn(command, log, stack.environment(), stack.generator_cpus())
    try:
        limit = load.profile.seconds + PATIENCE + 30
        _await(locust, record, limit, lambda: _show_last(progress, show))
    finally:
        process.kill(locust)
    if not record.exists():
        raise TrialFailed(f"the load generator ended with status {locust.returncode}; see {log}")
    return dict(json.loads(record.read_text()))


def _command(base_url: str, load: Load) -> list[str]:
    profile = load.profile
    first = profile.levels[0]
    options = {
        "--host": base_url,
        "--profile": profile.name,
        "--seed": load.seed,
        "--level-seconds": ",".join(str(level.seconds) for level in profile.levels),
        "--rate": first.rate if profile.name == OPEN else 0,
        "--rush": first.rush,
        "--loglevel": "ERROR",
    }
    words = [f"{name}={value}" for name, value in options.items()] + [f"--part={load.part}"]
    words += [f"--mix={','.join(map(str, load.mix))}"] if load.mix else []
    locust = [sys.executable, "-m", "locust", "--locustfile", str(LOCUSTFILE)]
    return [*locust, "--headless", "--only-summary", *words]


def _await(
    locust: "subprocess.Popen[bytes]", record: Path, limit: float, meanwhile: Callable[[], None]
) -> None:
    """Wait for the record and not for Locust's own end, seconds later: they would be missing in the drain."""
    deadline = time.monotonic() + limit
    while locust.poll() is None and not record.exists():
        if time.monotonic() > deadline:
            raise TrialFailed(f"the load generator did not end within {limit:.0f} s")
        meanwhile()
        time.sleep(LOOK_EVERY)


def _show_last(path: Path, show: Show) -> None:
    lines = path.read_text().splitlines() if path.exists() else []
    if lines:
        show(json.loads(lines[-1]))
