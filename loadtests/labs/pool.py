"""Lab 3: how many requests a pool lets through, and why a larger one is not a faster one."""

from rich.console import Console
from rich.table import Table
from typing_extensions import TypedDict

from loadtests.labs.lab import Bench, Knob, Lab, Measured, Mistake, Question
from loadtests.load.at_once import by_all, of_its_own
from loadtests.load.pace import PACE
from loadtests.load.subjects import NAIVE
from loadtests.stack import Stack
from loadtests.stack.proxy import Trouble, between
from shared.settings import variable

SIZES = (1, 2, 4, 8, 16, 32)
FIRST, ASKED, DOUBLED = 1, 4, 32
CLIENTS = 48
SECONDS = 3.0 * PACE
AWAY = 5.0
"""Milliseconds there and back to MySQL, as in another building: a connection is held while nobody works."""
MESSAGES = 200
NEAR_BEST, NEAR_THE_LAW = 0.9, 0.8


class Point(TypedDict):
    size: int
    rate: float
    """Answers of 200 a second."""
    p95: float
    """Milliseconds."""
    refused: int
    """Answers of 503."""


def measure(bench: Bench, milliseconds: float) -> list[Point]:
    trouble = Trouble(delay=milliseconds / 2_000)
    with bench.stack() as stack, between(stack.settings.mysql_port, trouble) as port:
        return [_point(bench, stack, port, size) for size in SIZES]


def _point(bench: Bench, stack: Stack, mysql_port: int, size: int) -> Point:
    bench.step(f"a pool of {size}, {CLIENTS} clients, {SECONDS:g} s")
    stack.reset()
    own = {variable("mysql_port"): str(mysql_port), variable("pool_size"): str(size)}
    stack.start(NAIVE, more={NAIVE: own})
    answers = by_all(
        stack.base_url(NAIVE), CLIENTS, SECONDS, lambda number: of_its_own("lab 3", number, MESSAGES)
    )
    stack.stop(NAIVE)
    return {"size": size, "rate": answers.rate, "p95": answers.p95, "refused": answers.statuses[503]}


def of(size: int, measured: Measured) -> Point:
    found: Point = next(point for point in measured if point["size"] == size)
    return found


def held(measured: Measured) -> float:
    """Milliseconds that a request holds a connection: with one connection, the time between two answers."""
    return 1_000 * FIRST / of(FIRST, measured)["rate"]


def by_little(size: int, measured: Measured) -> float:
    """Requests a second that so many connections let through, each held for so long."""
    return 1_000 * size / held(measured)


def smallest(measured: Measured) -> float:
    """The smallest pool that is about as fast as the fastest."""
    best = max(point["rate"] for point in measured)
    return float(next(point["size"] for point in measured if point["rate"] >= NEAR_BEST * best))


def gained(measured: Measured) -> float:
    """Per cent more answers by the last doubling."""
    return 100 * (of(DOUBLED, measured)["rate"] / of(DOUBLED // 2, measured)["rate"] - 1)


def follows_the_law(measured: Measured) -> bool:
    """Whether the largest pool is still about as fast as Little's law has it."""
    return float(of(DOUBLED, measured)["rate"]) >= NEAR_THE_LAW * by_little(DOUBLED, measured)


def show(console: Console, measured: Measured) -> None:
    table = Table(title=f"{CLIENTS} clients without a pause")
    for head in ("pool", "answers/s", "pool / time held", "p95, ms", "503"):
        table.add_column(head, justify="right")
    for point in measured:
        table.add_row(
            str(point["size"]),
            f"{point['rate']:,.1f}",
            f"{by_little(point['size'], measured):,.1f}",
            f"{point['p95']:,.0f}",
            f"{point['refused']:,}",
        )
    console.print(table)


def explain(measured: Measured) -> str:
    half, all_ = of(DOUBLED // 2, measured), of(DOUBLED, measured)
    rates = f"{half['size']} connections answer {half['rate']:,.1f}, {DOUBLED} answer {all_['rate']:,.1f}"
    if follows_the_law(measured):
        bend = (
            "So far the column is about true up to the largest pool: nothing else is full yet. Somewhere "
            f"above, something will be. {rates}."
        )
    else:
        bend = (
            "At some size the column is no longer true: then something else is full, here the CPU that all "
            "requests share. From there on a larger pool only moves the queue, from the pool into MySQL and "
            f"the interpreter: {rates}."
        )
    return (
        f"With one connection {of(FIRST, measured)['rate']:.1f} answers a second: a request holds it for "
        f"{held(measured):.1f} ms. Little's law: what is in the shop is how many come in a second, times how "
        f"long each stays. So a pool of N lets N / time held through, the third column.\n{bend}"
    )


def _solved(measured: Measured) -> str:
    """With the rate as it is shown, so that the arithmetic is right to the last digit."""
    rate = f"{of(FIRST, measured)['rate']:.1f}"
    return f"{ASKED} connections: {ASKED} times {rate} is {ASKED * float(rate):.1f}."


def _smallest_of(measured: Measured) -> str:
    best, enough = max(point["rate"] for point in measured), of(round(smallest(measured)), measured)
    return (
        f"{enough['size']}: it answers {enough['rate']:,.1f}, and {100 * NEAR_BEST:.0f} % of {best:,.1f} is "
        f"{NEAR_BEST * best:,.1f}."
    )


LAB = Lab(
    number=3,
    title="Pool exhaustion",
    minutes=12,
    is_timed=True,
    idea=(
        f"{CLIENTS} clients without a pause, MySQL {AWAY:g} ms away, and the naive twin with a pool of 1, 2, "
        "4, 8, 16, 32 connections. A request holds one from its first statement to its commit."
    ),
    predict=Question(
        f"From a pool of {DOUBLED // 2} to one of {DOUBLED}: by how much does the number of answers a second "
        "grow?",
        gained,
        within=0.25,
        unit="per cent",
        least=15.0,
    ),
    knob=Knob("how far away MySQL is, there and back", AWAY, 0.0, 100.0, "ms"),
    measure=measure,
    show=show,
    explain=explain,
    checks=(
        Question(
            f"By Little's law, from the row of the pool of 1 alone: how many answers a second with {ASKED}?",
            lambda found: by_little(ASKED, found),
            within=0.1,
            least=ASKED / 2,  # who has rounded the rate of one is right as well
            mistakes=(
                Mistake(
                    lambda answer, found: abs(answer - held(found) * ASKED) <= 0.1 * held(found) * ASKED,
                    "That is a time. How often does it fit into a second, on each connection?",
                ),
                Mistake(
                    lambda answer, found: abs(answer - of(FIRST, found)["rate"]) <= 0.2 * answer,
                    "That is what one connection does.",
                ),
            ),
            hints=(
                "Answers a second and connections grow together, as long as nothing else is full.",
                "One connection: so many answers. N connections: N times as many.",
            ),
            solution=_solved,
        ),
        Question(
            f"Which is the smallest pool that answers at least {100 * NEAR_BEST:.0f} % of the best rate?",
            smallest,
            within=0.0,
            mistakes=(
                Mistake(
                    lambda answer, found: answer == max(SIZES) and smallest(found) < answer,
                    "The largest is not needed for that: look where the rates stop growing.",
                ),
            ),
            hints=(
                "The best rate is the largest number of the second column, wherever it stands.",
                f"Take {100 * NEAR_BEST:.0f} % of it, and go down the column until a rate is above that.",
            ),
            solution=_smallest_of,
        ),
    ),
    passed=(
        "Pool size = rate that you need, times the time that a connection is held. Above what the rest of "
        "the machine can do, a larger pool is a longer queue in a worse place."
    ),
)
