"""Lab 1: one event through each twin, statement by statement."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from rich.console import Console
from rich.table import Table
from rich.text import Text
from typing_extensions import TypedDict

from loadtests.labs.lab import Bench, Knob, Lab, Measured, Mistake, Question
from loadtests.labs.trace import Trace, send, trace
from loadtests.load.pace import PACE
from loadtests.load.subjects import ASYNC, NAIVE, TWINS
from loadtests.stack import ROLES_OF, Stack
from loadtests.stack.proxy import Trouble, between
from shared.settings import variable

FARTHER = 20.0
"""Milliseconds, there and back, that MySQL is put away besides."""
FOLLOW_SECONDS = 1.5 * PACE
"""For which what happens after the answer is watched: a first event's row takes a part of a second."""
WARM_UP = 10
TRACES = 5
"""Of which the one in the middle is shown: a single one may have met a busy moment."""
WIDTH, WHAT = 26, 30
"""Characters of a bar, and of a statement: a row has room in 80."""
SHOWN_AFTER = 6
"""Steps behind the answer that are shown."""
# Of the naive twin less than half of what lies between its four round trips and one, however far MySQL is
# already: that distance is exact, and asks for no tolerance.
WITHIN = {NAIVE: 0.0, ASYNC: 0.3}
LEAST = {NAIVE: 1.4 * FARTHER, ASYNC: 0.6 * FARTHER}
"""By which an answer to a check may be off: a share, and milliseconds."""
HINTS = {
    NAIVE: (
        "Count the rows of MySQL above the client's answer.",
        f"Each of them takes {FARTHER:g} ms more when MySQL is {FARTHER:g} ms farther away.",
        "So: the time that you see, and for each round trip the way.",
    ),
    ASYNC: (
        "Count the rows of MySQL above the client's answer, in this twin's figure.",
        "Whom it does not ask before its answer its client does not wait for.",
    ),
}
OF_THE_EVENT = ("EVALSHA", "INSERT", "COMMIT")


class Found(TypedDict):
    near: dict[str, Trace]
    """By twin, of an event that was seen before."""
    far: dict[str, float]
    """Milliseconds until the answer with MySQL FARTHER away, by twin."""


def measure(bench: Bench, milliseconds: float) -> Found:
    near: dict[str, Trace] = {}
    far: dict[str, float] = {}
    with bench.stack() as stack:
        for twin in TWINS:
            bench.step(f"one event through {twin}")
            with _running(stack, twin, milliseconds) as url:
                near[twin] = _middle([trace(stack, url, "lab 1", FOLLOW_SECONDS) for _ in range(TRACES)])
            bench.step(f"{twin} with MySQL {milliseconds + FARTHER:g} ms away, for a later question")
            with _running(stack, twin, milliseconds + FARTHER) as url:
                far[twin] = _middle([trace(stack, url, "lab 1", 0) for _ in range(TRACES)])["answered"]
    return {"near": near, "far": far}


def _middle(traces: list[Trace]) -> Trace:
    return sorted(traces, key=lambda each: each["answered"])[len(traces) // 2]


@contextmanager
def _running(stack: Stack, twin: str, milliseconds: float) -> Iterator[str]:
    """Give the twin's address, warm, with MySQL so far away."""
    stack.reset()
    with between(stack.settings.mysql_port, Trouble(delay=milliseconds / 2_000)) as port:
        environment = {variable("mysql_port"): str(port)}
        stack.start(*ROLES_OF[twin], more=dict.fromkeys(ROLES_OF[twin], environment))
        url = stack.base_url(twin)
        for _ in range(WARM_UP):  # it opens the connections that a running twin has
            send(url, "lab 1")
        yield url
        stack.stop_twin(twin)


def round_trips(measured: Measured) -> float:
    """To MySQL, before the naive twin's client has its answer."""
    of_naive: Trace = measured["near"][NAIVE]
    return float(
        sum(step["who"] == "MySQL" and step["at"] <= of_naive["answered"] for step in of_naive["steps"])
    )


def show(console: Console, measured: Measured) -> None:
    longest = max(each["answered"] for each in measured["near"].values())
    for twin in TWINS:
        console.print(_waterfall(twin, measured["near"][twin], longest))


def _waterfall(twin: str, found: Trace, longest: float) -> Table:
    table = Table(title=f"{twin}: answered after {found['answered']:.1f} ms", title_justify="left")
    table.add_column("ms", justify="right", min_width=5)
    table.add_column("who", min_width=6)
    table.add_column("what", no_wrap=True, overflow="ellipsis", width=WHAT)
    table.add_column(f"0 to {longest:.1f} ms", no_wrap=True, width=WIDTH)
    before = [step for step in found["steps"] if step["at"] <= found["answered"]]
    after = [
        step
        for step in found["steps"]
        if step["at"] > found["answered"] and step["what"].startswith(OF_THE_EVENT)
    ]
    ends = [*(step["at"] for step in before[1:]), found["answered"]]
    table.add_row("0.0", "client", "sends the event", "")
    for step, end in zip(before, ends, strict=True):
        table.add_row(f"{step['at']:.1f}", step["who"], step["what"], _bar(step["at"], end, longest))
    table.add_row(
        f"{found['answered']:.1f}",
        "client",
        "has its answer",
        Text("|".rjust(_column(found["answered"], longest))),
    )
    for step in after[:SHOWN_AFTER]:
        table.add_row(f"{step['at']:.0f}", step["who"], step["what"], "after the answer", style="dim")
    return table


def _bar(start: float, end: float, longest: float) -> str:
    first, last = _column(start, longest), _column(end, longest)
    return " " * (first - 1) + "#" * max(last - first, 1)


def _column(at: float, longest: float) -> int:
    return max(round(WIDTH * at / longest), 1)


def explain(measured: Measured) -> str:
    naive, async_ = measured["near"][NAIVE], measured["near"][ASYNC]
    trips = round_trips(measured)
    return (
        f"The naive twin asks MySQL {trips:.0f} times, one after the other, and waits each time: for the way "
        f"there and back, for the statement, and at COMMIT for the disk. {naive['answered']:.1f} ms in all. "
        "The ROLLBACK after COMMIT is the connection pool's: it sees to it that no transaction is left open "
        "before it takes a connection back, and the client waits for that too.\n"
        "The async twin sends one script to Redis and answers when that is on disk: "
        f"{async_['answered']:.1f} ms. It does not ask MySQL at all before its answer; a worker does, later, "
        "for many events at once."
    )


def follows(twin: str, measured: Measured) -> float:
    """Milliseconds until the answer with MySQL FARTHER away, by the figures that are shown."""
    trips = round_trips(measured) if twin == NAIVE else 0
    return float(measured["near"][twin]["answered"]) + trips * FARTHER


def _solved(twin: str, measured: Measured) -> str:
    near, due, took = measured["near"][twin]["answered"], follows(twin, measured), measured["far"][twin]
    way = f"{round_trips(measured):.0f} times {FARTHER:g} ms" if twin == NAIVE else "no question to MySQL"
    told = f"{twin}: {near:.0f} ms and {way}, {due:.0f} ms; measured: {took:.0f} ms."
    if (more := took - due) > _tolerance(twin, due):
        told += f" Each is the middle of {TRACES} events; {more:.0f} ms of it this sum does not explain."
    return told


def _tolerance(twin: str, due: float) -> float:
    return max(WITHIN[twin] * due, LEAST[twin])


def _far(twin: str) -> Question:
    trips_forgotten = Mistake(
        lambda answer, found: abs(answer - found["near"][twin]["answered"] - FARTHER) < FARTHER / 2,
        "Each round trip crosses the way there and back. How many are there before the answer?",
    )
    twice = Mistake(
        lambda answer, found: answer > found["near"][twin]["answered"] + 6 * FARTHER,
        f"{FARTHER:g} ms are there and back already.",
    )
    not_from_here = Mistake(
        lambda answer, found: answer < found["near"][twin]["answered"] + FARTHER / 2,
        "Start from the time in the last figure, and add what each round trip takes longer.",
    )
    waits_for_mysql = Mistake(
        lambda answer, found: answer > found["near"][twin]["answered"] + FARTHER / 2,
        "Look at its steps before the answer: which of them goes to MySQL?",
    )
    return Question(
        f"MySQL moves away by another {FARTHER:g} ms, there and back, from where it was in the last figures. "
        f"How long does {twin}'s client wait?",
        partial(follows, twin),
        within=WITHIN[twin],
        unit="milliseconds",
        mistakes=(trips_forgotten, not_from_here, twice) if twin == NAIVE else (waits_for_mysql,),
        least=LEAST[twin],
        hints=HINTS[twin],
        solution=partial(_solved, twin),
    )


LAB = Lab(
    number=1,
    title="One request, two paths",
    minutes=10,
    idea=(
        "One error report, sent to each twin. MySQL writes down every statement that it gets (its general "
        "log), Redis every command (MONITOR)."
    ),
    predict=Question(
        "The naive twin gets an event that it has seen before. How many times does it ask MySQL for "
        "something before its client has the answer?",
        round_trips,
        within=0.0,
    ),
    knob=Knob("how far away MySQL is, there and back", 0.0, 0.0, 200.0, "ms"),
    measure=measure,
    show=show,
    explain=explain,
    checks=(_far(NAIVE), _far(ASYNC)),
    passed=(
        "What a client waits for is what happens before its answer. A database that is far away is paid for "
        "by each round trip, and only by those on the way of the answer: the hot path."
    ),
)
