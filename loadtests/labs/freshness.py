"""Lab 6: fast to accept is not fast to finish."""

import re
import threading
import time
from collections.abc import Sequence
from itertools import count
from statistics import fmean
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from typing_extensions import TypedDict

from loadtests.labs.lab import Bench, Knob, Lab, Measured, Mistake, Question
from loadtests.labs.trace import send
from loadtests.load.pace import PACE
from loadtests.load.subjects import ASYNC
from loadtests.stack import Stack, StackError
from loadtests.stack.scrape import fetch
from loadtests.trial.reconcile import Table as Issues
from loadtests.trial.reconcile import connect

INTERVAL = 4.0 * PACE
"""Seconds between two flushes."""
INTERVALS = 3
"""For which it is watched, after the first."""
RATE = 50.0
"""Events a second, all of one error."""
LOOK_EVERY = 0.05
FLUSHES = "flush_duration_seconds"
"""The scheduler's metric."""
DEADLINE = 6.0
"""Seconds from an event until an alert has to see it counted: within what the knob can be turned to."""
WIDTH = 40


class Flushed(NamedTuple):
    number: float
    seconds: float
    """Of all of them."""


class Look(TypedDict):
    at: float
    acknowledged: int
    recorded: int


class Found(TypedDict):
    interval: float
    looks: list[Look]
    """From the first flush on, for some intervals."""
    flushes: int
    """In that time."""
    flush: float
    """Milliseconds of each, on average."""
    wait: float
    """Milliseconds that a client waited for its answer, on average."""


def measure(bench: Bench, interval: float) -> Found:
    looks: list[Look] = []
    took: list[float] = []
    end = threading.Event()
    with bench.stack(flush_interval=interval) as stack:
        stack.reset()
        stack.start_twin(ASYNC)
        url = stack.base_url(ASYNC)
        send(url, "lab 6")
        bench.step(f"{RATE:g} events a second, a flush each {interval:g} s, {INTERVALS + 1} of them")

        def report() -> None:
            began = time.monotonic()
            for number in count():
                if end.wait(max(began + number / RATE - time.monotonic(), 0)):
                    return
                now = time.monotonic()
                send(url, "lab 6")
                took.append(1_000 * (time.monotonic() - now))

        reporter = threading.Thread(target=report)
        reporter.start()
        try:
            with connect(stack.settings) as mysql:
                table, began = Issues(mysql), time.monotonic()
                time.sleep(interval)
                before = _flushed(stack)
                while (now := time.monotonic() - began) < (INTERVALS + 1) * interval:
                    acknowledged = len(took) + 1
                    looks.append({"at": now, "acknowledged": acknowledged, "recorded": table.total()})
                    time.sleep(LOOK_EVERY)
                after = _flushed(stack)
        finally:
            end.set()
            reporter.join()
        stack.stop_twin(ASYNC)
    flushes = after.number - before.number
    return {
        "interval": interval,
        "looks": looks,
        "flushes": round(flushes),
        "flush": 1_000 * (after.seconds - before.seconds) / max(flushes, 1),
        "wait": fmean(took),
    }


def _flushed(stack: Stack) -> Flushed:
    """Since the scheduler has started, as it tells. Raises StackError where it does not."""
    text = fetch(stack.address("scheduler"), 5.0)
    found = dict(re.findall(rf"^{FLUSHES}_(count|sum) (\S+)$", text or "", re.MULTILINE))
    if len(found) < 2:
        raise StackError(f"the scheduler does not tell of its flushes; {stack.log_path('scheduler')}")
    return Flushed(float(found["count"]), float(found["sum"]))


def missing(looks: Sequence[Look]) -> list[int]:
    """Events that were acknowledged and are not in MySQL, look by look."""
    return [max(look["acknowledged"] - look["recorded"], 0) for look in looks]


def mean_missing(measured: Measured) -> float:
    return fmean(missing(measured["looks"]))


def arrived(measured: Measured) -> float:
    """Events a second that were acknowledged: fewer than RATE where a client waits for long."""
    first, last = measured["looks"][0], measured["looks"][-1]
    return float((last["acknowledged"] - first["acknowledged"]) / (last["at"] - first["at"]))


def mean_age(measured: Measured) -> float:
    """Seconds that an event is missing, by Little's law."""
    return mean_missing(measured) / arrived(measured)


def most_missing(measured: Measured) -> int:
    return max(missing(measured["looks"]))


def oldest(measured: Measured) -> float:
    """Seconds that the oldest event was missing, by the same law: all that came meanwhile were, too."""
    return most_missing(measured) / arrived(measured)


def longest_interval(measured: Measured) -> float:
    """Seconds between two flushes with which the oldest event is there by the deadline.

    What it waits beyond the interval is the flush's, and does not depend on the interval.
    """
    return DEADLINE - (oldest(measured) - float(measured["interval"]))


def show(console: Console, measured: Measured) -> None:
    table = Table(title=f"Acknowledged, and not in MySQL yet: a flush each {measured['interval']:g} s")
    table.add_column("s", justify="right")
    table.add_column("events", justify="right")
    table.add_column("", width=WIDTH)
    looks = measured["looks"]
    most = max(*missing(looks), 1)
    for look in looks[:: max(len(looks) // 24, 1)]:
        (events,) = missing([look])
        table.add_row(f"{look['at']:.1f}", str(events), "#" * round(WIDTH * events / most))
    console.print(table)
    console.print(
        f"At most {most_missing(measured)} were missing at once, of {arrived(measured):.1f} a second.\n"
        f"MySQL had {measured['flushes']} flushes meanwhile, {measured['flush']:.1f} ms each.\n"
        f"A client waits {measured['wait']:.1f} ms for its answer, whatever the interval is."
    )


def explain(measured: Measured) -> str:
    return (
        "Between two flushes counts wait in Redis. Right after one nothing is missing, right before the "
        f"next all of the interval: a saw, {mean_missing(measured):.0f} events high on average. Little's law "
        f"turns it into an age: {mean_missing(measured):.0f} events at {arrived(measured):.0f} a second is "
        f"{mean_age(measured):.1f} s, about half of the interval.\n"
        f"What it costs: {measured['flushes']} flushes of {measured['flush']:.1f} ms. With half of the "
        "interval there are twice as many, for the same events.\n"
        "The client's wait says nothing of it. Who promises freshness has to measure it, from the answer to "
        "the row, not from the request to the answer."
    )


LAB = Lab(
    number=6,
    title="Fast to accept is not fast to finish",
    minutes=10,
    idea=f"One error, {RATE:g} times a second, into the async twin. It answers in a moment. And MySQL?",
    predict=Question(
        f"Counts go to MySQL each {INTERVAL:g} s. How many of the {RATE:g} events a second are missing "
        "there, on average?",
        mean_missing,
        within=0.3,
        unit="events",
        least=20.0,
    ),
    knob=Knob("seconds between two flushes", INTERVAL, 0.5, 8.0, "s"),
    measure=measure,
    show=show,
    explain=explain,
    checks=(
        Question(
            "How long is an event missing in MySQL, on average?",
            mean_age,
            within=0.3,
            unit="seconds",
            least=0.1,
            mistakes=(
                Mistake(
                    lambda answer, found: abs(answer - found["interval"]) <= 0.2 * found["interval"],
                    "That is the one that waits longest. Another comes right before the flush.",
                ),
                Mistake(
                    lambda answer, found: abs(answer - found["wait"] / 1_000) <= 0.05,
                    "That is what its client waits for its answer.",
                ),
            ),
            hints=(
                "Events missing = events a second x seconds that each is missing.",
                "Read the mean height of the saw, and divide by the rate.",
            ),
            solution=lambda found: (
                f"{mean_missing(found):.0f} events / {arrived(found):.0f} a second = "
                f"{mean_age(found):.1f} s, about half of the interval."
            ),
        ),
        Question(
            "Now choose an interval, and defend it: fewer flushes are cheaper, but an alert must see each "
            f"event counted at most {DEADLINE:g} s after it came. By the oldest event that you have just "
            "seen: which is the longest interval that keeps that?",
            longest_interval,
            within=0.1,
            unit="seconds",
            mistakes=(
                Mistake(
                    lambda answer, _: abs(answer - 2 * DEADLINE) <= 0.1 * answer,
                    "Half of the interval is the mean. An alert needs the oldest, too.",
                ),
                Mistake(
                    lambda answer, found: answer < longest_interval(found),
                    "That keeps it, but there is a longer one that does: the oldest event waits for one "
                    "interval, not for two.",
                ),
            ),
            hints=(
                "The oldest event came right after a flush. Take how many were missing at most, and divide "
                "by the rate.",
                "What it waits beyond the interval is the flush itself. Take that off the deadline.",
            ),
            solution=lambda found: (
                f"The oldest waited {most_missing(found)} events / {arrived(found):.1f} a second = "
                f"{oldest(found):.1f} s, with an interval of {found['interval']:g} s. {DEADLINE:g} - "
                f"({oldest(found):.1f} - {found['interval']:g}) = {longest_interval(found):.1f} s."
            ),
        ),
    ),
    passed=(
        "An acknowledgement is a promise, not a result. The interval is a price list: twice as long, half as "
        "many writes, and counts that are twice as old. Choose it by what a reader of the counts can bear."
    ),
)
