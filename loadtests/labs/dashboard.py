"""Lab 9: six recorded incidents, of which only the metrics are shown. What was it?"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from rich.console import Console
from rich.table import Table
from typing_extensions import TypedDict

from loadtests.labs.causes import ASYNC_P95, CAUSES, NAIVE_P95, NAIVE_REFUSED, NUMBERS, Line, Sign
from loadtests.labs.lab import Bench, Knob, Lab, Measured, Mistake, Question
from loadtests.labs.queries import Reading, reading
from loadtests.labs.recording import Recording, names, recorded
from loadtests.labs.replay import replay, shown

INCIDENTS = 6
SPEED = 8
NOTICED = 3.0
"""Times as long a p95, from which on clients notice it."""
HINTS = (
    "Which twin suffers: one, the other, both, or neither? That leaves three or four.",
    "If neither: who makes rows, and who brings counts? One of the two ages grows, or both.",
    "If the naive twin alone: is MySQL away, or slow with each statement, or does one wait for a row?",
    "If both: is there more to do than before, or less to do it with?",
)


class Found(TypedDict):
    incidents: list[str]
    """Names of recordings, in the learner's own order."""
    speed: float


def measure(bench: Bench, speed: float) -> Found:
    bench.step(f"drawing {INCIDENTS} of {len(names())} recordings, for you alone")
    return {"incidents": random.sample(names(), INCIDENTS), "speed": speed}


def recordings(measured: Measured) -> list[Recording]:
    return [recorded(name) for name in measured["incidents"]]


def _read(line: Line, recording: Recording) -> Reading:
    return reading(line.query.values(recording), recording)


def is_noticed(line: Line, recording: Recording) -> bool:
    """Whether that p95 has become so much longer, or nobody is answered any more."""
    before, then = _read(line, recording)
    return then is None or then >= NOTICED * (before or 0)


def noticed_by_async(measured: Measured) -> float:
    return float(sum(is_noticed(ASYNC_P95, recording) for recording in recordings(measured)))


def show(console: Console, measured: Measured) -> None:
    table = Table(title="What the clients of both twins see", title_justify="left")
    for head in ("incident", "naive_sync p95", "503/s", "async_dedup p95"):
        table.add_column(head, justify="right")
    for number, recording in enumerate(recordings(measured), 1):
        naive, async_ = (
            " to ".join(_told(value, line.unit) for value in _read(line, recording))
            for line in (NAIVE_P95, ASYNC_P95)
        )
        table.add_row(str(number), naive, shown(_read(NAIVE_REFUSED, recording).then, ""), async_)
    console.print(table)


def _told(p95: float | None, unit: str) -> str:
    return "no answer" if p95 is None else shown(p95, unit)


def explain(measured: Measured) -> str:
    naive = sum(is_noticed(NAIVE_P95, recording) for recording in recordings(measured))
    return (
        f"Clients of the naive twin notice {naive} of the {INCIDENTS}, those of the async twin "
        f"{noticed_by_async(measured):.0f}. In all {INCIDENTS} something is wrong. What is behind the "
        "answer can stand still for hours, and no latency tells: who goes off the hot path has to watch what "
        "is there."
    )


@contextmanager
def _show(at: int, bench: Bench, console: Console, measured: Measured) -> Iterator[None]:
    about = f"Incident {at + 1} of {INCIDENTS}"
    with replay(bench, console, recordings(measured)[at], about, measured["speed"]):
        console.print()
        for name, number in NUMBERS.items():
            console.print(f"{number:3}  {CAUSES[name].about}")
        yield


def _number(at: int, measured: Measured) -> float:
    return float(NUMBERS[recordings(measured)[at].cause])


def _solution(at: int, measured: Measured) -> str:
    recording = recordings(measured)[at]
    cause = CAUSES[recording.cause]
    lines = [f"{NUMBERS[recording.cause]}: {cause.about}. The queries that show it:"]
    for sign in cause.signs:
        lines += [f"- {sign.words}: {_before_and_then(sign.line, recording)}", f"  {sign.line.query.promql}"]
    return "\n".join(lines)


def _before_and_then(line: Line, recording: Recording) -> str:
    before, then = (
        "no value" if value is None else shown(value, line.unit) for value in _read(line, recording)
    )
    return f"{before} before, {then} then"


def _mistakes(at: int) -> Iterator[Mistake]:
    """For each cause the first of its signs that is not there."""
    for name, cause in CAUSES.items():
        for sign in cause.signs:
            yield Mistake(
                partial(_is_contradicted, at, name, sign),
                partial(_contradiction, at, name, sign),
            )


def _contradiction(at: int, name: str, sign: Sign, measured: Measured) -> str:
    return (
        f"If {CAUSES[name].about}, {sign.words}. Not so here: "
        f'"{sign.line.title}" is {_before_and_then(sign.line, recordings(measured)[at])}.'
    )


def _is_contradicted(at: int, name: str, sign: Sign, answer: float, measured: Measured) -> bool:
    return answer == NUMBERS[name] and not sign.is_in(recordings(measured)[at])


def _question(at: int) -> Question:
    return Question(
        f"Which of the {len(CAUSES)} was it?",
        partial(_number, at),
        within=0.0,
        choices=len(CAUSES),
        mistakes=(*_mistakes(at),),
        show=partial(_show, at),
        hints=HINTS,
        solution=partial(_solution, at),
    )


LAB = Lab(
    number=9,
    title="Read the dashboard",
    minutes=15,
    idea=(
        f"Both twins ran side by side, with as many clients each. {len(CAUSES)} times something went wrong "
        f"for half a minute, and their metrics were recorded. You get {INCIDENTS} of these recordings, drawn "
        "for you."
    ),
    predict=Question(
        f"In how many of your {INCIDENTS} do the async twin's clients notice anything, a p95 of {NOTICED:g} "
        "times as long?",
        noticed_by_async,
        within=0.0,
    ),
    knob=Knob("how many times as fast they are replayed (it draws anew)", SPEED, 1, 60),
    measure=measure,
    show=show,
    explain=explain,
    checks=tuple(map(_question, range(INCIDENTS))),
    passed=(
        "Begin with what clients see, then ask who is late, then who waits for whom. A metric that did not "
        "move says as much as one that did. docs/observability.md has the dashboards, grafana/rules.yml the "
        "alerts for most of this."
    ),
)
