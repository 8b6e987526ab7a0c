"""The APScheduler process: `python -m async_dedup.scheduler`.

A process of its own: inside a web worker it would run once per worker.
"""

import logging
import signal
from datetime import UTC, datetime

from apscheduler.schedulers.blocking import BlockingScheduler
from prometheus_client import start_http_server
from redis import RedisError
from rq import Queue
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from async_dedup.buffer import Buffer
from async_dedup.digest import digest_queue, enqueue_digest
from async_dedup.flush import flush
from shared.db import create_tables_when_up, make_engine
from shared.settings import Settings

log = logging.getLogger(__name__)


def tick(buffer: Buffer, engine: Engine, queue: Queue) -> None:
    """A flush that fails is tried again by the next tick: the buffer and its batches are still there."""
    try:
        # The API's nudge may have died with the API, or its job with a worker.
        if buffer.state().first_events:
            enqueue_digest(queue)
        flush(buffer, engine)
    except (RedisError, SQLAlchemyError) as error:
        log.warning("The flush failed and will be tried again: %s", error)


def main() -> None:
    logging.basicConfig(level=logging.WARNING)
    settings = Settings()
    engine = make_engine(settings, pool_size=1, isolation_level="READ COMMITTED")
    create_tables_when_up(engine)
    parts = (Buffer(settings), engine, digest_queue(settings, settings.redis_timeout))
    scheduler = BlockingScheduler(timezone=UTC)
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
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: scheduler.shutdown(wait=False))
    start_http_server(settings.scheduler_metrics_port, settings.host)
    scheduler.start()


if __name__ == "__main__":
    main()
