"""Lab 4: the database gets slow. Who notices?"""

import time

from rich.console import Console
from rich.table import Table
from typing_extensions import TypedDict

from loadtests.labs.lab import Bench, Knob, Lab, Measured, Mistake, Question
from loadtests.load.at_once import by_all, of_its_own
from loadtests.load.pace import PACE
from loadtests.load.subjects import ASYNC, NAIVE, TWINS
from loadtests.stack import ROLES_OF, Stack
from loadtests.stack.proxy import Trouble, between
from loadtests.trial.reconcile import Table as Issues
from loadtests.trial.reconcile import connect, drain
from shared.settings import variable

CLIENTS = 8
SECONDS = 4.0 * PACE
AWAY = 100.0
"""Milliseconds there and back."""
MESSAGES = 20
SETTLE_SECONDS = 15.0
"""Without a change, after which nothing more comes to MySQL."""


class Point(TypedDict):
    rate: float
    """Answers of 200 a second."""
    waited: float
    """Milliseconds that a client waits for an answer, on average."""
    p95: float
    acknowledged: int
    recorded: int
    late: float
    """Seconds from the last answer until MySQL had all."""


class Found(TypedDict):
    away: float
    near: dict[str, Point]
    far: dict[str, Point]


def measure(bench: Bench, away: float) -> Found:
    with bench.stack() as stack:
        near = {twin: _point(bench, stack, twin, 0.0) for twin in TWINS}
        far = {twin: _point(bench, stack, twin, away) for twin in TWINS}
    return {"away": away, "near": near, "far": far}


def _point(bench: Bench, stack: Stack, twin: str, away: float) -> Point:
    bench.step(f"{twin}, MySQL {away:g} ms away, {CLIENTS} clients, {SECONDS:g} s")
    stack.reset()
    with between(stack.settings.mysql_port, Trouble(delay=away / 2_000)) as port:
        environment = {variable("mysql_port"): str(port)}
        stack.start(*ROLES_OF[twin], more=dict.fromkeys(ROLES_OF[twin], environment))
        answers = by_all(
            stack.base_url(twin),
            CLIENTS,
            SECONDS,
            lambda number: of_its_own("lab 4", number, MESSAGES),
        )
        ended = time.time()
        with connect(stack.settings) as mysql:
            table = Issues(mysql)
            drained = drain(table, answers.statuses[200], 0, SETTLE_SECONDS)
            recorded = table.total()
        stack.stop_twin(twin)
    return {
        "rate": answers.rate,
        "waited": 1_000 * CLIENTS / answers.rate,
        "p95": answers.p95,
        "acknowledged": answers.statuses[200],
        "recorded": recorded,
        "late": drained - ended if drained else 0.0,
    }


def async_waits(measured: Measured) -> float:
    return float(measured["far"][ASYNC]["waited"])


def naive_rate(measured: Measured) -> float:
    return float(measured["far"][NAIVE]["rate"])


def show(console: Console, measured: Measured) -> None:
    table = Table(title=f"{CLIENTS} clients without a pause")
    for head in ("MySQL away", "twin", "answers/s", "mean wait, ms", "p95, ms", "in MySQL after, s", "lost"):
        # At 80 columns something has to break: a head can, and the name of a twin can't.
        table.add_column(head, justify="left" if head == "twin" else "right", no_wrap=head == "twin")
    for away, points in ((0.0, measured["near"]), (measured["away"], measured["far"])):
        for twin in TWINS:
            point = points[twin]
            table.add_row(
                f"{away:g} ms",
                twin,
                f"{point['rate']:,.0f}",
                f"{point['waited']:,.0f}",
                f"{point['p95']:,.0f}",
                f"{point['late']:,.1f}",
                f"{max(point['acknowledged'] - point['recorded'], 0):,}",
            )
    console.print(table)


def explain(measured: Measured) -> str:
    naive, async_ = measured["far"][NAIVE], measured["far"][ASYNC]
    return (
        f"Little's law once more: {CLIENTS} clients are always inside, so answers a second times the wait "
        f"is {CLIENTS}. The naive twin's client waits for each of its round trips, {naive['waited']:,.0f} "
        f"ms, and {CLIENTS} / {naive['waited'] / 1_000:.2f} s is {naive['rate']:.0f} a second. The server is "
        "idle meanwhile: more machines do not help, only a shorter way, or fewer round trips.\n"
        f"The async twin's client waits {async_['waited']:,.1f} ms, as before. What is slower is the worker, "
        f"which nobody waits for: {async_['late']:.1f} s after the last answer MySQL had everything."
    )


LAB = Lab(
    number=4,
    title="The hot path",
    minutes=10,
    idea=f"MySQL moves {AWAY:g} ms away, there and back. {CLIENTS} clients, with it near, then with it far.",
    predict=Question(
        f"MySQL is {AWAY:g} ms away. How long does the async twin's client wait for its answer, on average?",
        async_waits,
        within=0.5,
        unit="milliseconds",
        least=15.0,
    ),
    knob=Knob("how far away MySQL is, there and back", AWAY, 0.0, 300.0, "ms"),
    measure=measure,
    show=show,
    explain=explain,
    checks=(
        Question(
            f"{CLIENTS} clients, and each waits as long as you see for the naive twin: how many answers a "
            "second does it give?",
            naive_rate,
            within=0.15,
            mistakes=(
                Mistake(
                    lambda answer, found: (
                        abs(answer * CLIENTS - naive_rate(found)) <= 0.2 * naive_rate(found)
                    ),
                    f"That is what one client gets. There are {CLIENTS}.",
                ),
                Mistake(
                    lambda answer, found: abs(answer - found["near"][NAIVE]["rate"]) <= 0.1 * answer,
                    "That is with MySQL near.",
                ),
            ),
            hints=("Inside = rate x time inside. Two of the three you know.",),
            solution=lambda found: (
                f"{CLIENTS} / {found['far'][NAIVE]['waited'] / 1_000:.3f} s = {naive_rate(found):.0f} a "
                "second."
            ),
        ),
    ),
    passed=(
        "A database that is slow is a slow service only where the database is on the hot path. Behind it the "
        "same slowness is a later row: a price, too, but one that you can see coming, and bound."
    ),
)
