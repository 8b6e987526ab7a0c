"""The next point of each chart, from what is known at this moment. The keys are the names of the lines."""

from typing import NamedTuple

from loadtests.live.client_view import Load
from loadtests.live.counts import REQUEST_BUCKETS, REQUESTS, ROW_BUCKETS, Growth
from loadtests.load.subjects import in_order

WORKER = "worker"
Point = dict[str, float | None]


class Now(NamedTuple):
    grown: dict[str, Growth]
    """What each process has counted lately; only of those that answer."""
    gauges: dict[str, float]
    """Of who has a pipeline behind it; empty without one."""
    load: Load | None

    def twins(self) -> dict[str, Growth]:
        return {twin: self.grown[twin] for twin in in_order(self.grown)}


def p95(now: Now) -> Point:
    """Milliseconds."""
    point: Point = {twin: _p95(grown, REQUEST_BUCKETS, 1000) for twin, grown in now.twins().items()}
    if now.load:
        point[f"{now.load.subject}, client"] = now.load.p95_ms
    return point


def rates(now: Now) -> Point:
    """Answers per second, also failed ones, and users; of who counts nothing itself, the generator's."""
    point: Point = {twin: sum(grown.rates(REQUESTS).values()) for twin, grown in now.twins().items()}
    if now.load:
        point.setdefault(now.load.subject, now.load.rate)
        if now.load.offered:
            point["offered"] = now.load.offered
        point["users"] = now.load.users
    return point


def failed(now: Now) -> Point:
    """Failures per second by kind: status codes from who answered, and from the client where none came.

    A 4xx is the client's own error, refused by the contract, and named so.
    """
    point: Point = {}
    for twin, grown in now.twins().items():
        codes = grown.rates(REQUESTS).items()
        point |= {_failure(twin, code): rate for code, rate in codes if rate and code[0] != "2"}
    if now.load:
        told = now.load.subject in now.grown
        kinds = now.load.failed.items()
        point |= {
            _failure(now.load.subject, kind): rate
            for kind, rate in kinds
            if rate and not (told and kind.isdecimal())
        }
    return point


def _failure(twin: str, kind: str) -> str:
    return f"{twin} {'refused ' if kind[0] == '4' else ''}{kind}"


def queue(now: Now) -> Point:
    return {
        "first events waiting": now.gauges.get("queue_depth"),
        "fingerprints not flushed": now.gauges.get("buffer_fingerprints"),
    }


def freshness(now: Now) -> Point:
    """Seconds."""
    worker = now.grown.get(WORKER)
    return {
        "oldest first event waiting": now.gauges.get("queue_age_seconds"),
        "event to row, p95": _p95(worker, ROW_BUCKETS, 1) if worker else None,
        "since the last flush": now.gauges.get("flush_age_seconds"),
    }


CHARTS = {"p95": p95, "rates": rates, "failed": failed, "queue": queue, "freshness": freshness}


def _p95(grown: Growth, name: str, times: float) -> float | None:
    found = grown.quantile(0.95, name)
    return None if found is None else found * times
