"""What the buffer's state says to health checks, to metrics and to readers of the list."""

import time

from redis import RedisError

from async_dedup.buffer import Buffer, BufferState
from shared import pipeline_metrics
from shared.health import Dependencies, Health, MySQL, Redis
from shared.listing import IssueView


def add_pending(buffer: Buffer, issues: list[IssueView]) -> None:
    pending = buffer.pending([issue.fingerprint for issue in issues])
    for issue, events in zip(issues, pending, strict=True):
        issue.pending = events


def flush_age(state: BufferState, started: float) -> float:
    """Seconds since the last flush, or since this process started if that is later."""
    return max(time.time() - max(state.flushed_at, started), 0.0)


def check_health(mysql: MySQL, buffer: Buffer, started: float) -> Health:
    try:
        state = buffer.state()
    except RedisError:
        return Health(status="degraded", dependencies=Dependencies(mysql=mysql, redis=Redis(state="down")))
    return Health(
        status="up" if mysql.state == "up" else "degraded",
        dependencies=Dependencies(mysql=mysql, redis=Redis(state="up")),
        flush_age_seconds=flush_age(state, started),
        queue_age_seconds=state.queue_age,
    )


def observe(state: BufferState, started: float) -> None:
    """What only Redis knows is read when it is asked for, not kept up to date on the hot path."""
    pipeline_metrics.buffer_fingerprints.set(state.fingerprints)
    pipeline_metrics.buffer_batches.set(state.batches)
    pipeline_metrics.flush_age.set(flush_age(state, started))
    pipeline_metrics.queue_depth.set(state.first_events)
    pipeline_metrics.queue_age.set(state.queue_age)
