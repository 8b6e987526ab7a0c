"""What happened to every request: nothing is rounded, sampled or dropped.

While a test runs its figures are only kept, in columns; `record` makes something of them at the end.
"""

from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping
from time import perf_counter, process_time
from typing import Any

from loadtests.load.percentiles import percentile
from loadtests.load.workload import Event
from shared.fingerprint import DEFAULT_SERVICE, fingerprint
from shared.quota import OVERFLOW

FOLDED = "200 folded"
"""Outcome of a request whose event is kept, and counts on its service's overflow issue."""
THROTTLED = "429"
"""Outcome of a request whose event is not kept: its service has sent more than it may."""
UNSENT = "unsent"
"""Outcome of a request that was due, but found no free connection."""
MAYBE_RECORDED = {"503", "timeout", "connection", "abandoned"}
"""Outcomes after which a client can't know whether its event was kept."""
COLUMNS = ("due", "ready", "sent", "ended")
Events = Mapping[tuple[str, str], int]
"""By service and message."""
Packed = dict[str, Any]
"""What a process has recorded, as values that a message can carry."""
SO_FAR = 1_000
"""Latencies that the p95 of a running level is taken from: to sort them all would hold up the users."""


class Outcomes:
    """Collects the outcomes of one test in one process. Not safe for threads; greenlets are fine.

    All times are seconds since `began`, which is one of `time.perf_counter`.
    """

    def __init__(self, began: float) -> None:
        self.began = began
        self.due, self.ready, self.sent, self.ended = (array("d") for _ in COLUMNS)
        """By request: when it was due, when a connection was free for it, when it was sent and answered."""
        self.service: list[str] = []
        self.outcome: list[str] = []
        self.failed: Counter[str] = Counter()
        self.acknowledged: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.unanswered: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.pulses: list[tuple[float, float, float]] = []
        """When, CPU seconds of this process so far, and how late the timer for this very line came."""
        self.cpu_before = process_time()

    def add(self, event: Event, due: float, ready: float, sent: float, outcome: str) -> None:
        """Record a request that ended just now: its status code, `FOLDED`, or why there is none.

        The times are those of `time.perf_counter`.
        """
        began = self.began
        self.due.append(due - began)
        self.ready.append(ready - began)
        self.sent.append(sent - began)
        self.ended.append(perf_counter() - began)
        self.service.append(event.service)
        self.outcome.append(outcome)
        if outcome[0] == "2":
            self.acknowledged[event.service, event.message if outcome != FOLDED else OVERFLOW] += 1
            return
        self.failed[outcome] += 1
        if outcome in MAYBE_RECORDED:
            self.unanswered[event.service, event.message] += 1

    def pulse(self, now: float, late: float) -> None:
        self.pulses.append((now - self.began, process_time(), late))

    def p95_since(self, first: int) -> float | None:
        """Return the p95 in milliseconds of the requests from the `first` on, from an even sample."""
        step = (len(self.sent) - first) // SO_FAR + 1
        times = zip(self.sent[first::step], self.ended[first::step], strict=True)
        return percentile(sorted((ended - sent) * 1000 for sent, ended in times), 95)

    def packed(self) -> Packed:
        """Return everything; events by fingerprint."""
        return {
            "columns": {name: getattr(self, name).tobytes() for name in COLUMNS},
            "service": self.service,
            "outcome": self.outcome,
            "failed": dict(self.failed),
            "acknowledged": _by_fingerprint(self.acknowledged),
            "unanswered": _by_fingerprint(self.unanswered),
            "service_of": _services(self.acknowledged) | _services(self.unanswered),
            "pulses": self.pulses,
            "cpu_seconds": process_time() - self.cpu_before,
        }


def _by_fingerprint(events: Events) -> dict[str, int]:
    return {fingerprint(message, service): number for (service, message), number in events.items()}


def _services(events: Events) -> dict[str, str]:
    """Return the service of each fingerprint, but for those of the default one."""
    return {
        fingerprint(message, service): service for service, message in events if service != DEFAULT_SERVICE
    }
