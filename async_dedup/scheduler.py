"""The APScheduler process: `python -m async_dedup.scheduler`.

A process of its own: inside a web worker it would run once per worker.
"""

import logging
import signal
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from redis import RedisError
from rq import Queue
from sqlalchemy import Engine

from async_dedup import budget, ledger
from async_dedup.buffer import Buffer
from async_dedup.digest import Stop, digest_all, digest_queue, enqueue_digest
from async_dedup.flush import flush
from async_dedup.steady import Every, SteadyScheduler
from async_dedup.wanted import INTERVAL as ASK_INTERVAL
from async_dedup.wanted import Missing
from shared.db import create_tables_when_up, make_background_engine
from shared.exposition import serve
from shared.quota import Quotas
from shared.settings import load

log = logging.getLogger(__name__)

LATE_DIGEST = 60.0
"""Seconds. RQ needs room in Redis for its own books: once first events fill it, no job can start."""

MAX_SEALED = 60
"""Batches that may wait: 5 minutes' at the default interval."""


def tick(buffer: Buffer, engine: Engine, queue: Queue, missing: Missing | None = None) -> None:
    """A flush that fails is tried again by the next tick: the buffer and its batches are still there."""
    try:
        # First, since it needs no room in Redis, and makes some.
        made = flush(buffer, engine)
        if missing:
            missing.look_for(made)
        state = buffer.state()
        if state.queue_age > LATE_DIGEST:
            digest_all(buffer, engine)
        elif state.first_events:  # the API's nudge may have died with the API, or its job with a worker
            enqueue_digest(queue)
    except Exception as error:  # noqa: BLE001 - whatever it is, the next tick may do better
        log.warning("The flush failed and will be tried again: %s: %s", type(error).__name__, error)


def seal(buffer: Buffer, interval: float) -> None:
    """A batch for each interval where flushes are behind, since all in it get the time of its last event.

    Not more than MAX_SEALED: in each, what keeps coming takes memory once more.
    """
    with suppress(RedisError):  # the tick says so
        state = buffer.state()
        if state.flush_age > interval and state.batches < MAX_SEALED:
            buffer.claim()


def trim_ledger(buffer: Buffer, engine: Engine) -> None:
    """Not without Redis, which may come back with a batch that MySQL has had for days."""
    with suppress(RedisError):
        ledger.trim(engine, buffer.batches())


def trim_places(buffer: Buffer, engine: Engine, window: float) -> None:
    waits_for = None
    with suppress(RedisError):
        waits_for = buffer.state().queue_age
    budget.trim(engine, window, waits_for)


def main() -> None:
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # who runs for too long says why by itself
    settings = load()
    engine = make_background_engine(settings)
    create_tables_when_up(engine)
    buffer, queue = Buffer(settings), digest_queue(settings, settings.redis_timeout)
    missing = Missing(buffer, engine)
    scheduler = SteadyScheduler(
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
    )
    interval, at_once = settings.flush_interval, datetime.now(UTC)
    scheduler.add_job(tick, Every(seconds=interval), [buffer, engine, queue, missing], next_run_time=at_once)
    # Half an interval later: a flush that went well was half an interval ago.
    later = at_once + timedelta(seconds=interval / 2)
    scheduler.add_job(seal, Every(seconds=interval), [buffer, interval], next_run_time=later)
    scheduler.add_job(missing.ask, Every(seconds=ASK_INTERVAL))
    scheduler.add_job(trim_ledger, Every(hours=1), [buffer, engine])
    if Quotas(settings).is_any:
        scheduler.add_job(trim_places, Every(minutes=1), [buffer, engine, settings.new_issues_window])
    # Blocked before any thread starts, so that they come here and never into the middle of a flush.
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    serve(settings.host, settings.scheduler_metrics_port)
    scheduler.start()
    signal.sigwait(signals)
    Stop.asked = True
    scheduler.shutdown()  # waits for what is at work


if __name__ == "__main__":
    main()
