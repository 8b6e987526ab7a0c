"""Lab 6: fast to accept is not fast to finish."""

import threading
import time
from collections.abc import Sequence
from itertools import count
from statistics import fmean

from rich.console import Console
from rich.table import Table
from typing_extensions import TypedDict

from loadtests.labs.lab import Bench, Knob, Lab, Measured, Mistake, Question
from loadtests.labs.trace import send
from loadtests.load.pace import PACE
from loadtests.load.subjects import ASYNC
from loadtests.trial.reconcile import Table as Issues
from loadtests.trial.reconcile import connect

INTERVAL = 4.0 * PACE
"""Seconds between two flushes."""
INTERVALS = 3
"""For which it is watched, after the first."""
RATE = 50.0
"""Events a second, all of one error."""
LOOK_EVERY = 0.05
WIDTH = 40


class Look(TypedDict):
    at: float
    acknowledged: int
    recorded: int


class Found(TypedDict):
    interval: float
    looks: list[Look]
    """From the first flush on, for some intervals."""
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
                while (now := time.monotonic() - began) < (INTERVALS + 1) * interval:
                    acknowledged = len(took) + 1
                    looks.append({"at": now, "acknowledged": acknowledged, "recorded": table.total()})
                    time.sleep(LOOK_EVERY)
        finally:
            end.set()
            reporter.join()
        stack.stop_twin(ASYNC)
    steady = [look for look in looks if look["at"] >= interval]
    return {"interval": interval, "looks": steady, "wait": fmean(took)}


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
    console.print(f"A client waits {measured['wait']:.1f} ms for its answer, whatever the interval is.")


def explain(measured: Measured) -> str:
    return (
        "Between two flushes counts wait in Redis. Right after one nothing is missing, right before the "
        f"next all of the interval: a saw, {mean_missing(measured):.0f} events high on average. Little's law "
        f"turns it into an age: {mean_missing(measured):.0f} events at {arrived(measured):.0f} a second is "
        f"{mean_age(measured):.1f} s, about half of the interval.\n"
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
        ),
    ),
    hints=(
        "Events missing = events a second x seconds that each is missing.",
        "Read the mean height of the saw, and divide by the rate.",
    ),
    solution=lambda found: (
        f"{mean_missing(found):.0f} events / {arrived(found):.0f} a second = {mean_age(found):.1f} s, about "
        "half of the interval."
    ),
    passed=(
        "An acknowledgement is a promise, not a result. The interval is a price list: twice as long, half as "
        "many writes, and counts that are twice as old. Choose it by what a reader of the counts can bear."
    ),
)
