"""The APScheduler process: `python -m async_dedup.scheduler`.

A process of its own: inside a web worker it would run once per worker.
"""

import logging
import signal
from datetime import UTC, datetime

from apscheduler.schedulers.background import BackgroundScheduler
from redis import RedisError
from rq import Queue
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from async_dedup.buffer import Buffer
from async_dedup.digest import digest_all, digest_queue, enqueue_digest
from async_dedup.flush import flush, trim_ledger
from shared.db import create_tables_when_up, make_background_engine
from shared.exposition import serve
from shared.settings import load

log = logging.getLogger(__name__)

LATE_DIGEST = 60.0
"""Seconds. RQ needs room in Redis for its own books: once first events fill it, no job can start."""


def tick(buffer: Buffer, engine: Engine, queue: Queue) -> None:
    """A flush that fails is tried again by the next tick: the buffer and its batches are still there."""
    try:
        # First, since it needs no room in Redis, and makes some.
        flush(buffer, engine)
        state = buffer.state()
        if state.queue_age > LATE_DIGEST:
            digest_all(buffer, engine)
        elif state.first_events:  # the API's nudge may have died with the API, or its job with a worker
            enqueue_digest(queue)
    except (RedisError, SQLAlchemyError) as error:
        log.warning("The flush failed and will be tried again: %s", error)


def main() -> None:
    logging.basicConfig(level=logging.WARNING)
    settings = load()
    engine = make_background_engine(settings)
    create_tables_when_up(engine)
    parts = (Buffer(settings), engine, digest_queue(settings, settings.redis_timeout))
    scheduler = BackgroundScheduler(timezone=UTC)
    scheduler.add_job(
        tick,
        "interval",
        parts,
        seconds=settings.flush_interval,
        next_run_time=datetime.now(UTC),
        coalesce=True,
        max_instances=1,
        misfire_grace_time=None,
    )
    scheduler.add_job(trim_ledger, "interval", [engine], hours=1)
    # Blocked before any thread starts, so that they come here and never into the middle of a flush.
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    serve(settings.host, settings.scheduler_metrics_port)
    scheduler.start()
    signal.sigwait(signals)
    scheduler.shutdown()


if __name__ == "__main__":
    main()
