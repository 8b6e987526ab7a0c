"""What is varied, and over which values, at which share of the knee."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from loadtests.load.workload import POOL_SIZE, Mix
from loadtests.studies.growth.point import Offer, Point, measure
from loadtests.studies.study import Setup


class Series(NamedTuple):
    title: str
    axis: str
    values: tuple[int, ...]
    about: str
    share: Callable[[int], float]
    """Percent of the knee, the rate at a value."""
    mix: Callable[[int], Mix | None] = lambda _: None
    settings: Callable[[int], Mapping[str, Any]] = lambda _: {}
    twin: str = "async_dedup"


SHARES = (10, 25, 50, 75, 100)
SERIES = {
    "rate": Series(
        "The rate, async_dedup", "% of the knee", SHARES, "The usual events.", share=lambda percent: percent
    ),
    "rate_naive": Series(
        "The rate, naive_sync",
        "% of its knee",
        SHARES,
        "The usual events.",
        share=lambda percent: percent,
        twin="naive_sync",
    ),
    "fingerprints": Series(
        "Distinct fingerprints",
        "fingerprints",
        (1_000, 10_000, 100_000, 1_000_000),
        "7 in 10 events are drawn from so many fingerprints; 3 in 10 are new. All of the former are in\n"
        "MySQL when the load begins. One INSERT wrote them, not the API, so the API takes each for new\n"
        "once: the more there are, the more events go through the digest. The rate is 50 % of the knee.",
        share=lambda _: 50,
        mix=Mix,
    ),
    "trace": Series(
        "Size of the stack trace",
        "bytes",
        (100, 1_024, 8_192, 65_536),
        "All events have a stack trace of so many bytes. The rate is 25 % of the knee.",
        share=lambda _: 25,
        mix=lambda size: Mix(POOL_SIZE, trace_bytes=size),
    ),
    "message": Series(
        "Size of the message",
        "characters",
        (100, 500),
        "All events have a message of so many characters, and a stack trace of 100 bytes.\n"
        "The rate is 25 % of the knee.",
        share=lambda _: 25,
        mix=lambda size: Mix(POOL_SIZE, message_chars=size, trace_bytes=100),
    ),
    "processes": Series(
        "Processes of the API",
        "processes",
        (1, 2, 4),
        "`TWINS_WORKERS`. The API's processes share the servers' cores with worker, scheduler, MySQL and\n"
        "Redis. The rate is 50 % of the knee of one process.",
        share=lambda _: 50,
        settings=lambda processes: {"workers": processes},
    ),
}


def points(setup: Setup, name: str) -> list[Point]:
    """Measure a series, each point on servers and a twin that were started for it."""
    series, found = SERIES[name], []
    for number, x in enumerate(series.values, 1):
        rate = setup.options.knees[series.twin] * series.share(x) / 100
        with setup.stack(**series.settings(x)) as stack:
            setup.display.step(f"{name}: {x:,} {series.axis}, {number} of {len(series.values)}")
            found.append(measure(setup, stack, Offer(x, series.twin, rate, series.mix(x))))
    return found
