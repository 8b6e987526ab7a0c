"""The RQ worker: `python -m async_dedup.worker`."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from rq import Queue, SimpleWorker
from rq.exceptions import StopRequested
from rq.job import Job

from async_dedup.digest import Stop, digest_queue, pause
from async_dedup.priority import PRIORITY
from shared.db import create_tables_when_up, make_background_engine
from shared.exposition import serve
from shared.settings import load

log = logging.getLogger(__name__)

PAUSE = 1.0
"""Seconds between two workers, so that a Redis that is away is not asked in a tight loop."""
LOOK_UP = 2
"""Seconds without a job after which a worker looks whether it was told to end."""
seen: set[str] = set()
"""Kinds of errors that the log knows: while Redis is away there is one each second."""


class Worker(SimpleWorker):
    """RQ's also ends where Redis fails it in the middle of a job; this one knows whether it was told to."""

    max_connection_wait_time = 1.0  # RQ's own minute is how long rows would be missing after Redis is back

    def handle_warm_shutdown_request(self) -> None:
        Stop.asked = True  # not the worker's own: the signal may reach the one before the present one

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, _: int | None = None
    ) -> tuple[Job, Queue] | None:
        """In steps: the exception that ends RQ's wait of minutes comes to nothing where the signal is just
        before that wait, or in a `try` of redis-py, whose `except Exception` takes it for its own."""
        job = None
        while job is None and not Stop.asked:
            job = super().dequeue_job_and_maintain_ttl(timeout, LOOK_UP)
        return job

    def subscribe(self) -> None:
        """To nothing: nobody sends RQ's commands, and their thread can't be ended without Redis."""


def main() -> None:
    settings = load()
    create_tables_when_up(make_background_engine(settings))
    serve(settings.host, settings.worker_metrics_port)
    PRIORITY.take()
    queue = digest_queue(settings, timeout=None)
    while not Stop.asked:
        work(queue)


def work(queue: Queue) -> None:
    with outlived():
        # A job is a few milliseconds of SQL: a fork for each would cost more than the job.
        Worker([queue]).work(logging_level="WARNING")
    with outlived():
        pause(0 if Stop.asked else PAUSE)


@contextmanager
def outlived() -> Iterator[None]:
    """Whatever RQ raises, nobody would start this process again: the next worker may do better."""
    try:
        yield
    except StopRequested:
        pass
    except Exception as error:  # noqa: BLE001
        kind = type(error).__name__
        if kind not in seen:
            seen.add(kind)
            log.warning("The worker ended and begins again: %s: %s", kind, error)


if __name__ == "__main__":
    main()
