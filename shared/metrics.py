"""The Prometheus metrics of both twins: the same names, labels and buckets.

No label holds a message, a fingerprint or an id: `route` is the route's pattern, never the path.
"""

from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import prometheus_client
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, generate_latest
from sqlalchemy import Engine, QueuePool, event

# 1 ms to 10 s in steps of 10 %, so that no quantile read from the buckets is further from the true one.
BUCKETS = tuple(0.0005 * 1.1**step for step in range(106))


class Histogram(prometheus_client.Histogram):
    """Finds its bucket by halves; the library looks at all before it, 100 for a slow request."""

    def observe(self, amount: float, _: dict[str, str] | None = None) -> None:
        self._sum.inc(amount)
        self._buckets[bisect_left(self._upper_bounds, amount)].inc(1)


REQUEST_LABELS = ("route", "method", "status_code")

http_request_duration = Histogram(
    "http_request_duration_seconds", "From the request's head to its answer.", REQUEST_LABELS, buckets=BUCKETS
)
http_requests = Counter("http_requests", "Answered requests.", REQUEST_LABELS)
http_requests_in_flight = Gauge("http_requests_in_flight", "Requests without an answer yet.")

mysql_operation_duration = Histogram(
    "mysql_operation_duration_seconds", "One statement or commit.", ("operation",), buckets=BUCKETS
)
redis_operation_duration = Histogram(
    "redis_operation_duration_seconds", "One round trip.", ("operation",), buckets=BUCKETS
)
db_pool_connections = Gauge("db_pool_connections", "Connections of the MySQL pool.", ("state",))

UNMATCHED = "unmatched"
OTHER = "other"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
"""The client may send any other word: as a label, each would be kept for ever."""


def observe_request(route: str, method: str, status: int, seconds: float) -> None:
    duration, count = _children(route, method if method in METHODS else OTHER, status)
    duration.observe(seconds)
    count.inc()


_request_children: dict[tuple[str, str, int], tuple[Histogram, Counter]] = {}


def _children(route: str, method: str, status: int) -> tuple[Histogram, Counter]:
    """Resolved once for each combination: resolving labels costs more than the observation."""
    key = (route, method, status)
    if key not in _request_children:
        labels = (route, method, str(status))
        _request_children[key] = (http_request_duration.labels(*labels), http_requests.labels(*labels))
    return _request_children[key]


@contextmanager
def mysql_operation(operation: str) -> Iterator[None]:
    with mysql_operation_duration.labels(operation).time():
        yield


def watch_engine(engine: Engine) -> None:
    """Times every statement by its verb, and shows the pool's connections by state."""

    @event.listens_for(engine, "before_cursor_execute")
    def start(conn: Any, *_: Any) -> None:
        conn.info["statement_started"] = perf_counter()

    @event.listens_for(engine, "after_cursor_execute")
    def stop(conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        verb = statement.split(None, 1)[0].lower()
        mysql_operation_duration.labels(verb).observe(perf_counter() - conn.info["statement_started"])

    pool = engine.pool
    assert isinstance(pool, QueuePool)
    db_pool_connections.labels("in_use").set_function(pool.checkedout)
    db_pool_connections.labels("idle").set_function(pool.checkedin)
    db_pool_connections.labels("size").set_function(pool.size)


def exposition() -> tuple[bytes, str]:
    """The body and content type of `GET /metrics`."""
    return generate_latest(), CONTENT_TYPE_LATEST
