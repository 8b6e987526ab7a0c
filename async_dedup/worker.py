"""The RQ worker: `python -m async_dedup.worker`."""

from prometheus_client import start_http_server
from rq import SimpleWorker

from async_dedup.digest import digest_queue
from shared.db import create_tables_when_up, make_engine
from shared.settings import Settings


def main() -> None:
    settings = Settings()
    create_tables_when_up(make_engine(settings, pool_size=1))
    start_http_server(settings.worker_metrics_port, settings.host)
    # A job is a few milliseconds of SQL: a fork for each would cost more than the job.
    SimpleWorker([digest_queue(settings, timeout=None)]).work(logging_level="WARNING")


if __name__ == "__main__":
    main()
