"""What the live page needs of a scrape, what happened between two of them, and the p95 of that."""

from collections import deque
from collections.abc import Mapping
from itertools import pairwise
from math import inf
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from shared.event import PATH

Counters = dict[tuple[str, str], float]
"""By name and by the one label that tells a series from its like: `status_code`, `le`, or an outcome."""
REQUESTS = "http_requests_total"
REQUEST_BUCKETS = "http_request_duration_seconds_bucket"
ROW_BUCKETS = "row_freshness_seconds_bucket"
OF_EVENTS = f'route="{PATH}"'
INGEST = "ingest_state"
GAUGES = ("queue_depth", "queue_age_seconds", "buffer_fingerprints", "flush_age_seconds")
WANTED: dict[str, tuple[str, ...]] = {
    REQUESTS: (OF_EVENTS,),
    REQUEST_BUCKETS: (OF_EVENTS, 'status_code="200"'),
    ROW_BUCKETS: (),
    **dict.fromkeys((*GAUGES, INGEST), ()),
}
"""The series that are parsed, with what their lines hold: one line of ten, since parsing is what costs."""
STEPS = 2
"""Intervals between scrapes that are looked at together: in one alone are too few slow requests."""


class Scrape(NamedTuple):
    counters: Counters
    gauges: dict[str, float]


class Growth(NamedTuple):
    seconds: float
    counters: Counters

    def rates(self, name: str) -> dict[str, float]:
        """Return the growth per second of each series of `name`."""
        return {label: more / self.seconds for (of, label), more in self.counters.items() if of == name}

    def quantile(self, q: float, name: str) -> float | None:
        """Return it in the unit of the histogram `name`; None where nothing was observed."""
        return quantile(q, {float(le): n for (of, le), n in self.counters.items() if of == name})


class Window:
    """Counters over the last `STEPS` intervals. They fall only where their process has started again."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, Counters]] = deque(maxlen=STEPS + 1)

    def clear(self) -> None:
        self._seen.clear()

    def add(self, at: float, counters: Counters) -> Growth | None:
        """Return what has come since the oldest of them; None where there is nothing to compare with."""
        if self._seen and any(counters.get(key, 0) < value for key, value in self._seen[-1][1].items()):
            self.clear()
        self._seen.append((at, counters))
        then, before = self._seen[0]
        if at <= then:
            return None
        return Growth(at - then, {key: value - before.get(key, 0) for key, value in counters.items()})


def ingest(state: str) -> str:
    """Return the name that `parse` gives the gauge of a state."""
    return f"{INGEST} {state}"


def parse(exposition: str) -> Scrape:
    counters: Counters = {}
    gauges: dict[str, float] = {}
    lines = [line for line in exposition.splitlines() if is_wanted(line)]
    for family in text_string_to_metric_families("\n".join([*lines, ""])):
        for name, labels, value, *_ in family.samples:
            if name in GAUGES:
                gauges[name] = value
            elif name == INGEST:
                gauges[ingest(labels["state"])] = value
            else:
                key = name, labels.get("le") or labels["status_code"]
                counters[key] = counters.get(key, 0) + value
    return Scrape(counters, gauges)


def is_wanted(line: str) -> bool:
    """Whether the page needs this line of a scrape."""
    parts = WANTED.get(line.partition(" ")[0].partition("{")[0])
    return parts is not None and all(part in line for part in parts)


def quantile(q: float, buckets: Mapping[float, float]) -> float | None:
    """Return it from cumulative `buckets`, upper bound to number, as Prometheus' histogram_quantile does.

    Above the largest finite bound it is not known, and that bound is returned. None where all are empty.
    """
    bounds = [(0.0, 0.0), *sorted(buckets.items())]
    rank = q * bounds[-1][1]
    if rank <= 0:
        return None
    for (low, below), (high, up_to) in pairwise(bounds):
        if up_to >= rank:
            return low if high == inf else low + (high - low) * (rank - below) / (up_to - below)
    return None
