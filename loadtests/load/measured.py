"""What one test measured: the shapes that results.json takes over; docstrings are its descriptions."""

from typing_extensions import TypedDict


class Generator(TypedDict):
    cpu_share: float | None
    """Of one core, while the level was measured; the busiest of its processes."""
    loop_lag_p99_ms: float | None
    sent_share: float | None
    """Of the requests due in the level, those sent within 50 ms of being due or, later, of a connection being
    free: the rest is the generator's fault. None in the closed model."""


class Level(TypedDict):
    """One number of users (closed model) or one rate (open model). Latencies are those of 2xx answers."""

    profile: str
    name: str
    """Unique within the profile: "500 users", "400/s"."""
    users: int
    """In the open model: the connections there are at most."""
    seconds: float
    offered_rps: float | None
    """None: the model is closed, the users send as fast as they are answered."""
    sent_rps: float
    achieved_rps: float
    acknowledged: int
    failed: dict[str, int]
    in_flight_at_start: int
    in_flight_at_end: int
    """Requests due and not yet answered; in the open model a twin whose backlog grows can't keep up."""
    latency_ms: dict[str, float | None]
    """From sending: p50, p90, p95, p99, p99.9 and max; exact, not read from the histogram."""
    due_latency_ms: dict[str, float | None] | None
    """The same from when each request was due; None in the closed model."""
    histogram: str
    """Of the latencies in microseconds: HdrHistogram, encoded V2, three significant digits."""
    due_histogram: str | None
    generator: Generator
    valid: bool
    invalid_reasons: list[str]


class Timeline(TypedDict):
    """The trial in slots of equal length, by when a request was sent; lists of equal length."""

    slot_seconds: float
    users: list[int]
    acknowledged: list[int]
    failed: list[int]
    p50_ms: list[float | None]
    p95_ms: list[float | None]


class OfService(TypedDict):
    """What one of several services sent, and what came of it."""

    levels: list[Level]
    """Without their validity: it is the generator's, and so that of the levels of all services."""
    timeline: Timeline
    let_through: list[float]
    """When its events were acknowledged, in seconds after the start; in order."""
