"""What may have happened in lab 9, and the signs by which each cause is told from the others."""

from collections.abc import Callable
from math import inf
from typing import NamedTuple

from loadtests.labs.queries import Gauge, Quantile, Query, Rate, Ratio, Reading, Series, reading
from loadtests.labs.recording import Recording
from loadtests.live.charts import WORKER
from loadtests.load.subjects import ASYNC, NAIVE
from shared.event import PATH

POST = f'route="{PATH}"'
OK = (POST, 'status_code="200"')
REFUSED = (POST, 'status_code="503"')


class Line(NamedTuple):
    title: str
    unit: str
    """"s" for seconds, "/s", "%" for a share, or ""."""
    query: Query


def _gauge(title: str, unit: str, job: str, name: str, *labels: str) -> Line:
    return Line(title, unit, Gauge(Series(job, name, labels)))


def _mean(job: str, name: str, *labels: str) -> Query:
    return Ratio(Rate(Series(job, f"{name}_sum", labels)), Rate(Series(job, f"{name}_count", labels)))


def _p95(job: str, name: str, *labels: str) -> Query:
    return Quantile(0.95, Series(job, f"{name}_bucket", labels))


NAIVE_P95 = Line(f"{NAIVE} p95", "s", _p95(NAIVE, "http_request_duration_seconds", *OK))
ASYNC_P95 = Line(f"{ASYNC} p95", "s", _p95(ASYNC, "http_request_duration_seconds", *OK))
NAIVE_OK = Line(f"{NAIVE} 200", "/s", Rate(Series(NAIVE, "http_requests_total", OK)))
ASYNC_OK = Line(f"{ASYNC} 200", "/s", Rate(Series(ASYNC, "http_requests_total", OK)))
NAIVE_REFUSED = Line(f"{NAIVE} 503", "/s", Rate(Series(NAIVE, "http_requests_total", REFUSED)))
SELECT = Line("naive: a SELECT", "s", _mean(NAIVE, "mysql_operation_duration_seconds", 'operation="select"'))
UPDATE = Line("naive: an UPDATE", "s", _mean(NAIVE, "mysql_operation_duration_seconds", 'operation="update"'))
NEW = Line(
    "naive: INSERTs of requests",
    "%",
    Ratio(
        Rate(Series(NAIVE, "mysql_operation_duration_seconds_count", ('operation="insert"',))),
        Rate(Series(NAIVE, "http_requests_total", OK)),
    ),
)
IN_USE = _gauge("naive: connections in use", "", NAIVE, "db_pool_connections", 'state="in_use"')
WAITING = _gauge("naive: waiting for one", "", NAIVE, "db_pool_waiting")
REDIS = Line("async: a call to Redis", "s", _mean(ASYNC, "redis_operation_duration_seconds"))
DIRECT = _gauge("async: state direct", "", ASYNC, "ingest_state", 'state="direct"')
QUEUE = _gauge("first events waiting", "", ASYNC, "queue_depth")
QUEUE_AGE = _gauge("the oldest of them", "s", ASYNC, "queue_age_seconds")
FRESH = Line("event to row, p95", "s", _p95(WORKER, "row_freshness_seconds"))
BUFFER = _gauge("fingerprints not flushed", "", ASYNC, "buffer_fingerprints")
BATCHES = _gauge("batches not flushed", "", ASYNC, "buffer_batches")
FLUSH_AGE = _gauge("since the last flush", "s", ASYNC, "flush_age_seconds")

LINES = (
    *(NAIVE_P95, ASYNC_P95, NAIVE_OK, ASYNC_OK, NAIVE_REFUSED, SELECT, UPDATE, NEW, IN_USE, WAITING),
    *(REDIS, DIRECT, QUEUE, QUEUE_AGE, FRESH, BUFFER, BATCHES, FLUSH_AGE),
)
"""In this order they stand in the terminal."""

IsSeen = Callable[[Reading], bool]


def above(limit: float) -> IsSeen:
    return lambda now: now.then is not None and now.then > limit


def below(limit: float) -> IsSeen:
    return lambda now: now.then is not None and now.then < limit


def changes(least: float, most: float = inf) -> IsSeen:
    """By so many times; what is not there then has come to nothing."""
    return lambda now: bool(now.before) and least <= (now.then or 0) / (now.before or inf) <= most


class Sign(NamedTuple):
    words: str
    """What is to be seen, as the end of a sentence."""
    line: Line
    is_seen: IsSeen

    def is_in(self, recording: Recording) -> bool:
        return self.is_seen(self.read(recording))

    def read(self, recording: Recording) -> Reading:
        return reading(self.line.query.values(recording), recording)


class Cause(NamedTuple):
    about: str
    signs: tuple[Sign, ...]
    """All are seen where it is the cause, and all together nowhere else."""


FLUSH_STOPS = Sign("nothing is flushed, and the last flush gets older and older", FLUSH_AGE, above(12))

CAUSES = {
    "scheduler": Cause(
        "the scheduler is dead",
        (
            FLUSH_STOPS,
            Sign("the naive twin has nothing to do with it, and answers as before", NAIVE_OK, changes(0.8)),
        ),
    ),
    "worker": Cause(
        "the worker is dead",
        (
            Sign("first events wait, and the oldest gets older and older", QUEUE_AGE, above(8)),
            Sign("counts are flushed as before, since that is the scheduler's", FLUSH_AGE, below(8)),
        ),
    ),
    "mysql": Cause(
        "MySQL is away",
        (
            FLUSH_STOPS,
            Sign("the naive twin has nowhere to keep an event, and refuses it", NAIVE_REFUSED, above(5)),
        ),
    ),
    "redis": Cause(
        "Redis is away",
        (Sign("the async twin goes on without it, straight into MySQL", DIRECT, above(0.5)),),
    ),
    "slow": Cause(
        "MySQL is 100 ms farther away",
        (Sign("each statement takes 100 ms more, also one that waits for no row", SELECT, above(0.09)),),
    ),
    "lock": Cause(
        "a forgotten transaction holds the rows of the frequent errors",
        (
            Sign("requests wait in MySQL for a row, and hold all connections", IN_USE, above(25)),
            Sign("hardly any of them is answered", NAIVE_OK, changes(0, 0.3)),
        ),
    ),
    "crowd": Cause(
        "many times as many clients have come",
        (
            Sign("more events come than before", ASYNC_OK, changes(1.3)),
            Sign("they are of the same kinds, as many of them new as before", NEW, changes(0.8, 1.2)),
        ),
    ),
    "new-messages": Cause(
        "one client writes a number into each message, so that none is like another",
        (Sign("more of the events are the first of their kind, and make a row", NEW, changes(1.4)),),
    ),
    "cpu": Cause(
        "something else on the machine takes the CPU",
        (
            Sign("the async twin is slow, whatever it waits for", ASYNC_P95, changes(2)),
            Sign("the naive twin is slow at the same time", NAIVE_P95, changes(2)),
            Sign("nobody sends more than before", ASYNC_OK, changes(0, 1.3)),
            Sign("Redis is there", DIRECT, below(0.5)),
        ),
    ),
}
"""In the order of their numbers, from 1 on. Each of them was recorded."""
NUMBERS = {name: number for number, name in enumerate(CAUSES, 1)}
