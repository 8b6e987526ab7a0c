"""What the buffer's state says to health checks and to metrics."""

from redis import RedisError

from async_dedup.buffer import Buffer, BufferState
from async_dedup.states import State
from async_dedup.stores import Stores
from shared import pipeline_metrics
from shared.answer import iso
from shared.db import ping
from shared.health import Dependencies, Health, Ingest, MySQL, Redis
from shared.settings import Settings

IDLE_INTERVALS = 3
"""Flush intervals without a flush, after which this twin no longer calls itself ready."""
LATE_ROW = 10.0
"""Seconds: ten times what is promised of a first event's row."""


def reasons_not_ready(buffer: Buffer, stores: Stores, settings: Settings) -> str:
    """Empty where it is ready: an event can be kept, and what is in Redis goes on to MySQL."""
    try:
        buffer.check_room()
        return _reasons(buffer.state(), settings.flush_interval)
    except RedisError:
        return "" if ping(settings) or stores.has_room() else "There is nowhere to keep an event"


def _reasons(state: BufferState, flush_interval: float) -> str:
    reasons = []
    if state.flush_age > IDLE_INTERVALS * flush_interval:
        reasons.append(f"The last flush was {state.flush_age:.0f} s ago")
    if state.queue_age > LATE_ROW:
        reasons.append(f"A first event has waited {state.queue_age:.0f} s for its row")
    return "; ".join(reasons)


def check_health(mysql: MySQL, buffer: Buffer, stores: Stores) -> Health:
    ingest = Ingest(state=stores.state.value, since=iso(stores.since), reason=stores.reason or None)
    try:
        state = buffer.state()
    except RedisError:
        down = Dependencies(mysql=mysql, redis=Redis(state="down"))
        return Health(status="degraded", dependencies=down, ingest=ingest)
    return Health(
        status="up" if mysql.state == "up" and stores.state is State.REDIS else "degraded",
        ingest=ingest,
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
