"""What the buffer's state says to health checks, to metrics and to readers of the list."""

from redis import RedisError

from async_dedup.buffer import Buffer, BufferState
from shared import pipeline_metrics
from shared.health import Dependencies, Health, MySQL, Redis
from shared.listing import IssueView

IDLE_INTERVALS = 3
"""Flush intervals without a flush, after which this twin no longer calls itself ready."""
LATE_ROW = 10.0
"""Seconds: ten times what is promised of a first event's row."""


def add_pending(buffer: Buffer, issues: list[IssueView]) -> None:
    pending = buffer.pending([issue.fingerprint for issue in issues])
    for issue, events in zip(issues, pending, strict=True):
        issue.pending = events


def reasons_not_ready(state: BufferState, flush_interval: float) -> str:
    """Empty where it is ready."""
    reasons = []
    if state.flush_age > IDLE_INTERVALS * flush_interval:
        reasons.append(f"The last flush was {state.flush_age:.0f} s ago")
    if state.queue_age > LATE_ROW:
        reasons.append(f"A first event has waited {state.queue_age:.0f} s for its row")
    return "; ".join(reasons)


def check_health(mysql: MySQL, buffer: Buffer) -> Health:
    try:
        state = buffer.state()
    except RedisError:
        return Health(status="degraded", dependencies=Dependencies(mysql=mysql, redis=Redis(state="down")))
    return Health(
        status="up" if mysql.state == "up" else "degraded",
        dependencies=Dependencies(mysql=mysql, redis=Redis(state="up")),
        flush_age_seconds=state.flush_age,
        queue_age_seconds=state.queue_age,
        set_aside=state.set_aside,
    )


def observe(state: BufferState, flush_interval: float) -> None:
    """What only Redis knows is read when it is asked for, not kept up to date on the hot path."""
    pipeline_metrics.buffer_fingerprints.set(state.fingerprints)
    pipeline_metrics.buffer_batches.set(state.batches)
    pipeline_metrics.flush_age.set(state.flush_age)
    pipeline_metrics.flush_interval.set(flush_interval)
    pipeline_metrics.queue_depth.set(state.first_events)
    pipeline_metrics.queue_age.set(state.queue_age)
    pipeline_metrics.set_aside_entries.set(state.set_aside)
