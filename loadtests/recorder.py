"""What happened to every request: nothing is rounded, sampled or dropped."""

import json
from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any

from shared.fingerprint import fingerprint

PERCENTILES = (50, 90, 95, 99)
MAYBE_RECORDED = {"503", "timeout", "connection", "abandoned"}
"""Outcomes after which a client can't know whether its event was kept."""
SO_FAR = 1_000
"""Latencies that the p95 of a running level is taken from: to sort them all would hold up the users."""


def percentile(ordered: Sequence[float], percent: int) -> float | None:
    """Return the exact nearest-rank percentile of `ordered`, which must be sorted; None where it is empty."""
    return ordered[-(-percent * len(ordered) // 100) - 1] if ordered else None


def percentiles(values: Sequence[float], wanted: Sequence[int] = PERCENTILES) -> dict[str, float | None]:
    """Return the percentiles by name ("p95"), and "max", of values in any order."""
    ordered = sorted(values)
    return {f"p{percent}": percentile(ordered, percent) for percent in wanted} | {
        "max": percentile(ordered, 100)
    }


class Level:
    """One number of users. A request belongs to the level in which it was sent, whenever it is answered.

    Times are those of `time.perf_counter`. What is sent before `measured_from` is in no figure of the level.
    """

    def __init__(self, users: int, measured_from: float = inf) -> None:
        self.users = users
        self.measured_from = measured_from
        self.ended = inf
        self.answered = 0
        """2xx answers that arrived while the level was measured."""
        self.latencies = array("d")
        """Milliseconds, of 2xx answers only: a fast refusal is not speed."""
        self.failed: Counter[str] = Counter()
        self.lags = array("d")
        self.first_pulse = self.last_pulse = (0.0, 0.0)

    def pulse(self, now: float, cpu: float, late: float) -> None:
        """Note the generator's CPU seconds so far, and by how many seconds a timer came too late."""
        self.last_pulse = (now, cpu)
        if not self.lags:
            self.first_pulse = self.last_pulse
        self.lags.append(late * 1000)

    def result(self) -> dict[str, Any]:
        """Return the level as in results.json, without its validity."""
        seconds = self.ended - self.measured_from
        wall, cpu = (last - first for first, last in zip(self.first_pulse, self.last_pulse, strict=True))
        return {
            "users": self.users,
            "seconds": seconds,
            "offered_rps": None,
            "achieved_rps": self.answered / seconds,
            "acknowledged": len(self.latencies),
            "failed": {"500": 0, "503": 0, "timeout": 0} | self.failed,
            "latency_ms": percentiles(self.latencies),
            "generator": {
                "cpu_share": cpu / wall if wall else None,
                "loop_lag_p99_ms": percentile(sorted(self.lags), 99),
            },
        }


class Recorder:
    """Collects the outcomes of one test. Not safe for threads; greenlets are fine."""

    def __init__(self) -> None:
        self.levels: list[Level] = []
        self.level = Level(0)
        self.succeeded = 0
        self.failed: Counter[str] = Counter()
        """By outcome; over the whole test."""
        self.acknowledged: defaultdict[str, int] = defaultdict(int)
        """Events by message; over the whole test, warm-up and start-up included."""
        self.unanswered: defaultdict[str, int] = defaultdict(int)

    def begin(self, level: Level, now: float) -> None:
        """End the running level and start another."""
        self.level.ended = now
        self.level = level
        if level.measured_from < inf:
            self.levels.append(level)

    def add(self, level: Level, message: str, sent: float, now: float, outcome: str) -> None:
        """Record a request that was sent at `sent` in `level`: its status code, or why there is none."""
        if outcome[0] == "2":
            self.succeeded += 1
            self.acknowledged[message] += 1
            if now >= self.level.measured_from:
                self.level.answered += 1
            if sent >= level.measured_from:
                level.latencies.append((now - sent) * 1000)
            return
        self.failed[outcome] += 1
        if outcome in MAYBE_RECORDED:
            self.unanswered[message] += 1
        if sent >= level.measured_from:
            level.failed[outcome] += 1

    def p95_so_far(self) -> float | None:
        """Return the p95 of the running level in milliseconds, from an even sample."""
        latencies = self.level.latencies
        return percentile(sorted(latencies[:: len(latencies) // SO_FAR + 1]), 95)

    def result(self, cpu_seconds: float) -> dict[str, Any]:
        """Return everything as JSON values; events by fingerprint."""
        return {
            "levels": [level.result() for level in self.levels],
            "cpu_seconds": cpu_seconds,
            "failed": dict(self.failed),
            "acknowledged": _by_fingerprint(self.acknowledged),
            "unanswered": _by_fingerprint(self.unanswered),
        }


def _by_fingerprint(events: Mapping[str, int]) -> dict[str, int]:
    return {fingerprint(message): number for message, number in events.items()}


def write_json(path: Path, value: Any) -> None:
    """Write `value` so that `path` never holds half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    draft.write_text(json.dumps(value, indent=1) + "\n")
    draft.replace(path)
