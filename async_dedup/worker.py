"""The RQ worker: `python -m async_dedup.worker`."""

import time
from contextlib import suppress

from redis import RedisError
from rq import Queue, SimpleWorker
from rq.exceptions import StopRequested

from async_dedup.digest import digest_queue
from shared.db import create_tables_when_up, make_background_engine
from shared.exposition import serve
from shared.settings import load


class Worker(SimpleWorker):
    """RQ's also ends where Redis fails it in the middle of a job; this one knows whether it was told to."""

    told_to_stop = False
    max_connection_wait_time = 1.0  # RQ's own minute is how long rows would be missing after Redis is back

    def handle_warm_shutdown_request(self) -> None:
        Worker.told_to_stop = True  # of the class: the signal may reach the worker before the present one


def main() -> None:
    settings = load()
    create_tables_when_up(make_background_engine(settings))
    serve(settings.host, settings.worker_metrics_port)
    queue = digest_queue(settings, timeout=None)
    while not Worker.told_to_stop:
        work(queue)


def work(queue: Queue) -> None:
    # A job is a few milliseconds of SQL: a fork for each would cost more than the job.
    with suppress(RedisError, StopRequested):
        Worker([queue]).work(logging_level="WARNING")
    with suppress(RedisError, StopRequested):
        time.sleep(0 if Worker.told_to_stop else 1)


if __name__ == "__main__":
    main()
