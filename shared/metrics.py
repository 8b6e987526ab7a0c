"""The Prometheus metrics of both twins: the same names, labels and buckets.

No label holds a message, a fingerprint or an id: `route` is the route's pattern, never the path.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from time import perf_counter
from typing import Any

from prometheus_client import Counter, Gauge, disable_created_metrics
from sqlalchemy import Engine, ExceptionContext, PoolProxiedConnection, QueuePool, event
from sqlalchemy.exc import TimeoutError as PoolTimeout

from shared.event import PATH
from shared.exposition import Histogram, before_scrape, together
from shared.processes import FOLDER, show

disable_created_metrics()  # type: ignore[no-untyped-call] # a series more for each child, which nobody reads

# 1 ms to 10 s in steps of 10 %, so that no quantile read from the buckets is further from the true one.
BUCKETS = tuple(0.0005 * 1.1**step for step in range(106))

REQUEST_LABELS = ("route", "method", "status_code")

http_request_duration = Histogram(
    "http_request_duration_seconds", "From the request's head to its answer.", REQUEST_LABELS, buckets=BUCKETS
)
http_requests = Counter("http_requests", "Answered requests.", REQUEST_LABELS)
http_requests_in_flight = Gauge(
    "http_requests_in_flight", "Requests without an answer yet.", multiprocess_mode="livesum"
)

mysql_operation_duration = Histogram(
    "mysql_operation_duration_seconds",
    "One statement, one commit, or one checkout: the wait for a connection of the pool.",
    ("operation",),
    buckets=BUCKETS,
)
redis_operation_duration = Histogram(
    "redis_operation_duration_seconds", "One round trip.", ("operation",), buckets=BUCKETS
)
mysql_errors = Counter("mysql_errors", "Failed statements and checkouts, by the error's class.", ("error",))
# Of a counter that begins at 1 Prometheus sees no increase, so those that can be foreseen begin at 0.
MYSQL_ERRORS = ("IntegrityError", "OperationalError", "PoolTimeout")
STATUSES = ("200", "400", "413", "415", "429", "500", "503")
events_folded = Counter(
    "events_folded", "Events that count on their service's overflow issue: its budget was used up."
)
db_pool_connections = Gauge(
    "db_pool_connections", "Connections of the MySQL pool.", ("state",), multiprocess_mode="livesum"
)
db_pool_waiting = Gauge(
    "db_pool_waiting", "Requests that wait for a connection of the pool.", multiprocess_mode="livesum"
)

UNMATCHED = "unmatched"
OTHER = "other"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
"""The client may send any other word: as a label, each would be kept for ever."""

in_flight: set[object] = set()
"""The requests without an answer yet, by anything that tells them apart: the gauge's lock took 0.8 us."""

AT_ONCE = 1_000
"""Durations that are put into the metrics together: by itself each takes 1.4 us, so 0.3.

None is missing from a scrape, which does so with those that there are.
"""

_durations: dict[tuple[str, str, int], list[float]] = {}


def show_requests() -> None:
    """Shows who is in flight, and the hot route's counters from the start.

    Not its histograms: each is 109 lines of a scrape.
    """
    show(http_requests_in_flight, lambda: len(in_flight))
    for status in STATUSES:
        http_requests.labels(PATH, "POST", status)


def observe_request(route: str, method: str, status: int, seconds: float) -> None:
    labels = (route, method if method in METHODS else OTHER, status)
    if FOLDER:  # the next scrape may be answered by another process
        duration, count = _children(*labels)
        duration.observe(seconds)
        count.inc()
        return
    durations = _durations.setdefault(labels, [])
    durations.append(seconds)
    if len(durations) >= AT_ONCE:
        _settle(labels, durations)


@before_scrape
def _settle_all() -> None:
    for labels, durations in [*_durations.items()]:
        _settle(labels, durations)


def _settle(labels: tuple[str, str, int], durations: list[float]) -> None:
    """Other threads may add to the list meanwhile, but only at its end."""
    duration, count = _children(*labels)
    with together:
        taken = durations[:]
        del durations[: len(taken)]
        duration.observe_all(taken)
        count.inc(len(taken))


@cache
def _children(route: str, method: str, status: int) -> tuple[Histogram, Counter]:
    """Resolved once for each combination: resolving labels costs more than the observation."""
    labels = (route, method, str(status))
    return http_request_duration.labels(*labels), http_requests.labels(*labels)


@contextmanager
def mysql_operation(operation: str) -> Iterator[None]:
    with mysql_operation_duration.labels(operation).time():
        yield


class WatchedPool(QueuePool):
    """A pool that tells who waits for it, and for how long."""

    def connect(self) -> PoolProxiedConnection:
        try:
            with db_pool_waiting.track_inprogress(), mysql_operation("checkout"):
                return super().connect()
        except PoolTimeout:
            mysql_errors.labels("PoolTimeout").inc()
            raise


def watch_engine(engine: Engine) -> None:
    """Times every statement by its verb, and counts the errors."""
    for error in MYSQL_ERRORS:
        mysql_errors.labels(error)

    @event.listens_for(engine, "before_cursor_execute")
    def start(conn: Any, *_: Any) -> None:
        conn.info["statement_started"] = perf_counter()

    @event.listens_for(engine, "after_cursor_execute")
    def stop(conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        verb = statement.split(None, 1)[0].lower()
        mysql_operation_duration.labels(verb).observe(perf_counter() - conn.info["statement_started"])

    @event.listens_for(engine, "handle_error")
    def failed(context: ExceptionContext) -> None:
        mysql_errors.labels(type(context.sqlalchemy_exception or context.original_exception).__name__).inc()


def show_pool(engine: Engine) -> None:
    """Of a process the pool that its requests wait for, by state."""
    pool = engine.pool
    assert isinstance(pool, QueuePool)
    for state, number in (("in_use", pool.checkedout), ("idle", pool.checkedin), ("size", pool.size)):
        show(db_pool_connections.labels(state), number)
