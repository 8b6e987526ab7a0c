"""Where the time of a request went, by the twin's own metrics."""

from collections import defaultdict
from typing import NamedTuple
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from loadtests.stack.scrape import fetch
from shared.event import PATH

TIMEOUT = 5.0


class TimeSpent(NamedTuple):
    """Sums over all events that a twin was sent so far; times in seconds."""

    requests: float = 0.0
    request: float = 0.0
    pool: float = 0.0
    mysql: float = 0.0
    round_trips: float = 0.0
    redis: float = 0.0


def read(base_url: str) -> TimeSpent | None:
    """Ask a twin; None where it does not answer."""
    exposition = fetch(urlsplit(base_url).netloc, TIMEOUT)
    return None if exposition is None else parse(exposition)


def parse(exposition: str) -> TimeSpent:
    """While only events come, all that the twin's server asks MySQL and Redis for is for them."""
    sums: defaultdict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            if sample.labels.get("route", PATH) == PATH:
                checkout = ":checkout" if sample.labels.get("operation") == "checkout" else ""
                sums[sample.name + checkout] += sample.value
    return TimeSpent(
        requests=sums["http_request_duration_seconds_count"],
        request=sums["http_request_duration_seconds_sum"],
        pool=sums["mysql_operation_duration_seconds_sum:checkout"],
        mysql=sums["mysql_operation_duration_seconds_sum"],
        round_trips=sums["redis_operation_duration_seconds_count"],
        redis=sums["redis_operation_duration_seconds_sum"],
    )


def mean_ms(before: TimeSpent | None, after: TimeSpent | None) -> dict[str, float]:
    """Return the means: of a "request", and within it of "pool", "mysql" and "redis", where there was any.

    A wait for the pool and a statement are one request's own. A round trip to Redis is shared by a group of
    requests, each of which waits for all of it. Empty where the twin was asked for nothing, or did not live
    from `before` on.
    """
    if before is None or after is None or after.requests <= before.requests:
        return {}
    spent = TimeSpent(*(late - early for early, late in zip(before, after, strict=True)))
    means = {
        "request": spent.request / spent.requests,
        "pool": spent.pool / spent.requests,
        "mysql": spent.mysql / spent.requests,
        "redis": spent.redis / max(spent.round_trips, 1),
    }
    return {name: seconds * 1000 for name, seconds in means.items() if seconds}
