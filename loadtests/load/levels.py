"""The record of a test: what all its processes kept, as the levels and the timeline of results.json."""

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import compress
from math import ceil
from typing import Any, Self

from loadtests.load.measured import Generator, OfService, Timeline
from loadtests.load.outcomes import COLUMNS, UNSENT, Packed
from loadtests.load.percentiles import histogram, percentile, percentiles
from loadtests.load.profiles import PlannedLevel, Profile

ON_TIME = 0.05
"""Seconds within which the generator has to send what is due."""
MOST_SLOTS = 240
SERVICE_SLOT = 5
"""Seconds of a slot in the timeline of one of several services: it has too few requests for a shorter one."""


class Requests:
    """Requests in columns: their times in seconds since the start of the test, and their outcomes."""

    def __init__(self, columns: dict[str, "array[float]"], service: list[str], outcome: list[str]) -> None:
        self.due, self.ready, self.sent, self.ended = (columns[name] for name in COLUMNS)
        self.service, self.outcome = service, outcome

    @classmethod
    def of(cls, packed: Iterable[Packed]) -> Self:
        """Return the requests of all processes."""
        columns: dict[str, array[float]] = {name: array("d") for name in COLUMNS}
        service: list[str] = []
        outcome: list[str] = []
        for each in packed:
            service += each["service"]
            outcome += each["outcome"]
            for name, column in columns.items():
                column.frombytes(each["columns"][name])
        return cls(columns, service, outcome)

    def due_between(self, begin: float, end: float) -> "Requests":
        return self._where([begin <= due < end for due in self.due])

    def of_service(self, name: str) -> "Requests":
        return self._where([service == name for service in self.service])

    def _where(self, chosen: Sequence[bool]) -> "Requests":
        columns = {name: array("d", compress(getattr(self, name), chosen)) for name in COLUMNS}
        service, outcome = (list(compress(each, chosen)) for each in (self.service, self.outcome))
        return Requests(columns, service, outcome)

    def in_flight(self, now: float) -> int:
        """How many were due and not yet answered."""
        return sum(due <= now < ended for due, ended in zip(self.due, self.ended, strict=True))

    def milliseconds(self, since: "array[float]") -> list[float]:
        """How long the successful ones took: a fast refusal is not speed."""
        times = zip(since, self.ended, self.outcome, strict=True)
        return [(ended - began) * 1000 for began, ended, outcome in times if outcome[0] == "2"]


def result(profile: Profile, packed: Sequence[Packed]) -> dict[str, Any]:
    """Return everything as JSON values. Levels that were never reached are left out.

    `ended_at` is when the last answer was there, in seconds since 1970: to make this takes a moment more.
    """
    requests, over = Requests.of(packed), max(each["over"] for each in packed)
    several = profile.services if len(profile.services) > 1 else ()
    return {
        "levels": _levels(profile, requests, over, packed),
        "timeline": _timeline(profile, requests, over, ceil(over / MOST_SLOTS)),
        "services": {
            service: _of_service(profile, requests.of_service(service), over, packed) for service in several
        },
        "service_of": {key: service for each in packed for key, service in each["service_of"].items()},
        "began_at": min(each["began_at"] for each in packed),
        "ended_at": max(each["ended_at"] for each in packed),
        "cpu_seconds": sum(each["cpu_seconds"] for each in packed),
        **{name: _total(packed, name) for name in ("failed", "acknowledged", "unanswered")},
    }


def _levels(profile: Profile, requests: Requests, over: float, packed: Sequence[Packed]) -> list[Any]:
    """Return the levels as in results.json, without their validity."""
    spans = zip(profile.levels, profile.spans, strict=True)
    return [
        {"profile": profile.name} | _level(level, begin, min(end, over), requests, packed)
        for level, (begin, end) in spans
        if begin < over
    ]


def _of_service(profile: Profile, requests: Requests, over: float, packed: Sequence[Packed]) -> OfService:
    answered = zip(requests.ended, requests.outcome, strict=True)
    return {
        "levels": _levels(profile, requests, over, packed),
        "timeline": _timeline(profile, requests, over, SERVICE_SLOT),
        "let_through": sorted(ended for ended, outcome in answered if outcome[0] == "2"),
    }


def _total(packed: Iterable[Packed], name: str) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in packed:
        total.update(each[name])
    return dict(total)


def _level(
    level: PlannedLevel, begin: float, end: float, every: Requests, packed: Sequence[Packed]
) -> dict[str, Any]:
    """Return all of one but its profile."""
    seconds, requests = end - begin, every.due_between(begin, end)
    failed = Counter(outcome for outcome in requests.outcome if outcome[0] != "2")
    sent = sum(begin <= at < end and o != UNSENT for at, o in zip(every.sent, every.outcome, strict=True))
    answered = sum(
        begin <= at < end and o[0] == "2" for at, o in zip(every.ended, every.outcome, strict=True)
    )
    latencies = requests.milliseconds(requests.sent)
    due_latencies = requests.milliseconds(requests.due) if level.is_open else None
    return {
        "name": level.name,
        "users": level.users,
        "seconds": seconds,
        "offered_rps": len(requests.due) / seconds if level.is_open else None,
        "sent_rps": sent / seconds,
        "achieved_rps": answered / seconds,
        "acknowledged": len(latencies),
        "failed": {"500": 0, "503": 0, "timeout": 0} | failed,
        "in_flight_at_start": every.in_flight(begin),
        "in_flight_at_end": every.in_flight(end),
        "latency_ms": percentiles(latencies),
        "due_latency_ms": percentiles(due_latencies) if due_latencies is not None else None,
        "histogram": histogram(latencies),
        "due_histogram": histogram(due_latencies) if due_latencies is not None else None,
        "generator": _generator(requests if level.is_open else None, packed, begin, end),
    }


def _generator(requests: Requests | None, packed: Sequence[Packed], begin: float, end: float) -> Generator:
    """Return how the generator did; `requests` are those of an open model."""
    by_process = [[pulse for pulse in each["pulses"] if begin <= pulse[0] < end] for each in packed]
    lags = sorted(late * 1000 for pulses in by_process for _, _, late in pulses)
    shares = [_cpu_share(pulses) for pulses in by_process if len(pulses) > 1]
    return {
        "cpu_share": max(shares, default=None),
        "loop_lag_p99_ms": percentile(lags, 99),
        "sent_share": _sent_share(requests) if requests is not None else None,
    }


def _cpu_share(pulses: Sequence[tuple[float, float, float]]) -> float:
    (began, cpu_before, _), (ended, cpu_after, _) = pulses[0], pulses[-1]
    return (cpu_after - cpu_before) / (ended - began)


def _sent_share(requests: Requests) -> float | None:
    """A request that waited for a connection is ready late: that is the twin's doing."""
    times = zip(requests.ready, requests.sent, strict=True)
    in_time = [sent - ready < ON_TIME for ready, sent in times]
    return sum(in_time) / len(in_time) if in_time else None


def _timeline(profile: Profile, requests: Requests, over: float, slot_seconds: int) -> Timeline:
    slots = [_Slot() for _ in range(ceil(over / slot_seconds))]
    for sent, ended, outcome in zip(requests.sent, requests.ended, requests.outcome, strict=True):
        # What was due to the end may have been sent after it.
        slot = slots[min(int(sent / slot_seconds), len(slots) - 1)]
        if outcome[0] == "2":
            slot.latencies.append((ended - sent) * 1000)
        else:
            slot.failed += 1
    return {
        "slot_seconds": slot_seconds,
        "users": [profile.users_at((index + 0.5) * slot_seconds) for index in range(len(slots))],
        "acknowledged": [len(slot.latencies) for slot in slots],
        "failed": [slot.failed for slot in slots],
        "p50_ms": [percentile(sorted(slot.latencies), 50) for slot in slots],
        "p95_ms": [percentile(sorted(slot.latencies), 95) for slot in slots],
    }


class _Slot:
    def __init__(self) -> None:
        self.latencies = array("d")
        self.failed = 0
