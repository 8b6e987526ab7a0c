"""Lab 5: four ways in which a benchmark tells the truth about itself and not about the server."""

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from statistics import fmean, quantiles

from rich.console import Console
from rich.table import Table
from typing_extensions import TypedDict

from loadtests.labs.lab import Bench, Knob, Lab, Measured, Mistake, Question
from loadtests.labs.trace import send
from loadtests.load.pace import PACE
from loadtests.load.subjects import ASYNC
from loadtests.stack import Stack

SECONDS = 10.0 * PACE
FREEZE = 2.0
"""Seconds for which the server is stopped, in the middle."""
RATE = 100.0
"""Requests a second of the open model: what arrives, whether or not the server is well."""
USERS = 5
THINK = 0.05
"""Seconds that each user of the closed model waits between an answer and its next request: 100 a second."""
ENOUGH, TOO_FEW = 250, 2
"""Connections of the open model; with too few the generator is what is full."""
SLOW = 1_000.0
"""Milliseconds."""
BUCKETS = (1.0, 10.0, 100.0, 1_000.0, 10_000.0)
P99 = 98


class Sent(TypedDict):
    at: list[float]
    """When each request was sent, or due, in seconds after the start."""
    took: list[float]
    """Milliseconds until its answer."""
    stopped: list[float]
    """When the server was stopped, and when it went on, in seconds after the start."""


class Found(TypedDict):
    freeze: float
    closed: Sent
    """From sending."""
    open: Sent
    """From when each was due."""
    full: Sent
    """The open model with too few connections, and measured from sending."""


def measure(bench: Bench, freeze: float) -> Found:
    with bench.stack() as stack:
        stack.reset()
        stack.start(ASYNC)
        url = stack.base_url(ASYNC)
        bench.step(
            f"closed: {USERS} users who wait for their answers, {SECONDS:g} s, {freeze:g} s of them frozen"
        )
        closed = _beside_a_freeze(stack, freeze, partial(_closed, url))
        bench.step(f"open: {RATE:g} requests a second, whatever comes back")
        due = partial(_open, url, connections=ENOUGH, from_due=True)
        open_ = _beside_a_freeze(stack, freeze, due)
        bench.step(f"open, from {TOO_FEW} connections, and measured from sending")
        late = partial(_open, url, connections=TOO_FEW, from_due=False)
        full = _beside_a_freeze(stack, freeze, late)
        stack.stop(ASYNC)
    return {"freeze": freeze, "closed": closed, "open": open_, "full": full}


def _beside_a_freeze(stack: Stack, seconds: float, load: Callable[[Sent, float], None]) -> Sent:
    """`load` is given what it fills, and when it begins."""
    pid, began = stack.pid(ASYNC), time.monotonic()
    sent: Sent = {"at": [], "took": [], "stopped": []}

    def stop() -> None:
        time.sleep(SECONDS / 3)
        os.kill(pid, signal.SIGSTOP)
        try:
            sent["stopped"].append(time.monotonic() - began)
            time.sleep(seconds)
        finally:
            sent["stopped"].append(time.monotonic() - began)
            os.kill(pid, signal.SIGCONT)

    frozen = threading.Thread(target=stop)
    frozen.start()
    try:
        load(sent, began)
    finally:
        frozen.join()
    return sent


def _closed(url: str, sent: Sent, began: float) -> None:
    def user(number: int) -> None:
        time.sleep(THINK * number / USERS)
        while (now := time.monotonic()) < began + SECONDS:
            send(url, f"lab 5, {number}")
            _note(sent, now - began, now)
            time.sleep(THINK)

    with ThreadPoolExecutor(USERS) as users:
        list(users.map(user, range(USERS)))


def _open(url: str, sent: Sent, began: float, connections: int, from_due: bool) -> None:
    numbers = count()

    def connection(_: int) -> None:
        while (due := began + next(numbers) / RATE) < began + SECONDS:
            time.sleep(max(due - time.monotonic(), 0))
            now = time.monotonic()
            send(url, "lab 5, open")
            _note(sent, due - began, due if from_due else now)

    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(connection, range(connections)))


def _note(sent: Sent, at: float, since: float) -> None:
    sent["at"].append(at)
    sent["took"].append(1_000 * (time.monotonic() - since))


def p99(took: Sequence[float]) -> float:
    return float(quantiles(took, n=100)[P99])


def slow_percent(measured: Measured) -> float:
    """Of what arrived in the open model, what waited for more than SLOW."""
    took = measured["open"]["took"]
    return 100 * float(sum(each > SLOW for each in took)) / len(took)


def due_in_the_freeze(measured: Measured) -> float:
    return RATE * float(measured["freeze"])


def sent_in_the_freeze(measured: Measured) -> float:
    """By the closed model."""
    begin, end = measured["closed"]["stopped"]
    return float(sum(begin <= at < end for at in measured["closed"]["at"]))


def by_buckets(took: Sequence[float]) -> float:
    """The p99 that a dashboard takes from BUCKETS: a straight line within the bucket where it lies."""
    rank, below, low = 0.99 * len(took), 0, 0.0
    for high in BUCKETS:
        up_to = sum(each <= high for each in took)
        if up_to >= rank:
            return low + (high - low) * (rank - below) / max(up_to - below, 1)
        below, low = up_to, high
    return BUCKETS[-1]


def averaged(sent: Sent) -> float:
    """The mean of the p99 of each second."""
    seconds: dict[int, list[float]] = {}
    for at, took in zip(sent["at"], sent["took"], strict=True):
        seconds.setdefault(int(at), []).append(took)
    return fmean(p99(each) for each in seconds.values() if len(each) > 1)


def show(console: Console, measured: Measured) -> None:
    exact = p99(measured["open"]["took"])
    table = Table(title=f"p99 of {SECONDS:g} s, of which the server was frozen for {measured['freeze']:g}")
    for head in ("who says so", "requests", "p99, ms", "the lie"):
        table.add_column(head, justify="right" if "p99" in head or head == "requests" else "left")
    rows = (
        ("open, from when each was due", measured["open"], exact, "none"),
        (
            "closed, from sending",
            measured["closed"],
            p99(measured["closed"]["took"]),
            "1 who waits asks nothing",
        ),
        (
            "open, too few connections",
            measured["full"],
            p99(measured["full"]["took"]),
            "2 the generator is full",
        ),
        (
            "open, from 5 coarse buckets",
            measured["open"],
            by_buckets(measured["open"]["took"]),
            "3 coarse buckets",
        ),
        ("open, p99 of each second", measured["open"], averaged(measured["open"]), "4 averaged percentiles"),
    )
    for who, sent, value, lie in rows:
        table.add_row(who, f"{len(sent['took']):,}", f"{value:,.0f}", lie)
    console.print(table)


def _listed(numbers: Sequence[float]) -> str:
    *first, last = (f"{each:,.0f}" for each in numbers)
    return f"{', '.join(first)} or {last}"


def _is_near(value: float, exact: float) -> bool:
    return abs(value - exact) < exact / 4


def explain(measured: Measured) -> str:
    exact, requests = p99(measured["open"]["took"]), len(measured["closed"]["took"])
    drawn, mean = by_buckets(measured["open"]["took"]), averaged(measured["open"])
    if _is_near(p99(measured["closed"]["took"]), exact):
        of_closed = (
            f"This time its p99 comes near the true one all the same: of only {requests} requests the slow "
            "ones are about one in a hundred or more. The longer it runs, the less they weigh."
        )
    else:
        of_closed = "Its p99 is of a server that was not asked while it was slow."
    of_full = " Here it came near, this time." if _is_near(p99(measured["full"]["took"]), exact) else ""
    where = "near it" if _is_near(drawn, exact) else "above it" if drawn > exact else "below it"
    return (
        f"Lie 1: in {measured['freeze']:g} s {due_in_the_freeze(measured):.0f} requests arrive at a server "
        f"that gets {RATE:g} a second. The closed model sent {sent_in_the_freeze(measured):.0f} of them: "
        f"each of its {USERS} users was waiting and asked nothing more. So it has about as many slow answers "
        f"and forgets all others: coordinated omission. {of_closed}\n"
        f"Lie 2 leaves out the same time in another way: with {TOO_FEW} connections, both waiting, the "
        "generator sends late what was due long ago, and the time that a request has waited within it is "
        f"not counted.{of_full}\n"
        f"Lie 3 comes from a dashboard: it knows how many took at most {_listed(BUCKETS)} ms, and no more. "
        "Between two of these it draws a straight line, which may lie upwards as well as downwards. Here "
        f"it says {drawn:,.0f} ms and the truth is {exact:,.0f}: {where}.\n"
        f"Lie 4: a mean of percentiles is no percentile. In this one, {mean:,.0f} ms, a second that was fine "
        "weighs as much as one that was not."
    )


LAB = Lab(
    number=5,
    title="The benchmark that lies",
    minutes=12,
    is_timed=True,
    idea=(
        f"A server stops for {FREEZE:g} s out of {SECONDS:g} s. The same server and the same stop, and five "
        "ways to tell its p99: 99 of 100 requests were at least as fast."
    ),
    predict=Question(
        f"{RATE:g} requests a second arrive, {SECONDS:g} s long, and for {FREEZE:g} s of them nobody is "
        "there. How many per cent of them wait for more than a second?",
        slow_percent,
        within=0.3,
        unit="per cent",
        least=3.0,
    ),
    knob=Knob("for how long the server stops", FREEZE, 0.5, 3.0, "s"),
    measure=measure,
    show=show,
    explain=explain,
    checks=(
        Question(
            "How many requests were due while the server was stopped?",
            due_in_the_freeze,
            within=0.05,
            mistakes=(
                Mistake(
                    lambda answer, _: answer == USERS,
                    "So many did the closed model send. How many arrive, whether or not anybody answers?",
                ),
                Mistake(
                    lambda answer, found: answer == RATE * FREEZE != due_in_the_freeze(found),
                    f"So many were due in {FREEZE:g} s. For how long does the server stop since you turned "
                    "the knob?",
                ),
            ),
            hints=(
                "What arrives is a rate. It does not wait for answers.",
                "The rate is a number a second; the server was stopped for some seconds.",
            ),
            solution=lambda found: (
                f"{due_in_the_freeze(found):.0f}: {RATE:g} a second for {found['freeze']:g} s."
            ),
        ),
        Question(
            "And how many of them did the closed model send, about?",
            sent_in_the_freeze,
            within=0.3,
            least=0.6 * USERS,
            mistakes=(
                Mistake(
                    lambda answer, _: answer < 1,
                    "Nobody knows beforehand that the server has stopped. What does each user do first?",
                ),
                Mistake(
                    lambda answer, found: answer >= due_in_the_freeze(found) * 0.8,
                    "Each of its users sends one, and then?",
                ),
            ),
            hints=(
                "A user of the closed model who waits for an answer sends nothing.",
                f"It has {USERS} users, and each of them still sends what it finds no answer to.",
            ),
            solution=lambda found: (
                f"{sent_in_the_freeze(found):.0f}: about one for each of its {USERS} users."
            ),
        ),
    ),
    passed=(
        "Ask of every benchmark: does it send when it should, or when it can? From when does it count? And "
        "never average a percentile."
    ),
)
