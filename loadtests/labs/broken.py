"""Lab 7: a part is killed under load. What is lost, who refuses, and where do events go meanwhile?"""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import get_ident

from rich.console import Console
from rich.table import Table
from typing_extensions import TypedDict

from loadtests.labs.lab import Bench, Knob, Lab, Measured, Mistake, Question
from loadtests.load.at_once import Answers, by_all
from loadtests.load.pace import PACE
from loadtests.load.subjects import ASYNC, NAIVE, TWINS
from loadtests.stack import Stack, StackError
from loadtests.stack.roles import HEALTH
from loadtests.stack.scrape import fetch
from loadtests.trial.reconcile import final_counts

PARTS = ("redis", "worker", "scheduler", "mysql")
"""By the knob, from 1 on."""
STATES = ("redis", "direct", "spool")
"""By the answer, from 1 on."""
CLIENTS = 8
SECONDS = 8.0 * PACE
BEFORE, AWAY = 2.0 * PACE, 2.5 * PACE
"""Seconds until the part is killed, and until it is started again."""
SETTLE_SECONDS = 20.0
HEALTH_SECONDS, ASK_SECONDS = 5.0, 2.0
"""For which the async twin is asked for its state again and again, and has for each answer."""


class Outcome(TypedDict):
    acknowledged: int
    failed: int
    """Requests that were not answered 200."""
    recorded: int
    state: str | None
    """Where events went while the part was away; None: there is only one place."""


class Found(TypedDict):
    part: str
    outcomes: dict[str, Outcome]


def measure(bench: Bench, number: float) -> Found:
    part = PARTS[round(number) - 1]
    with bench.stack() as stack:
        return {"part": part, "outcomes": {twin: _outcome(bench, stack, twin, part) for twin in TWINS}}


def _outcome(bench: Bench, stack: Stack, twin: str, part: str) -> Outcome:
    bench.step(f"{twin}, {SECONDS:g} s; after {BEFORE:g} s {part} is killed, {AWAY:g} s later it is back")
    stack.reset()
    stack.start_twin(twin)
    url, numbers = stack.base_url(twin), count()

    def load() -> Answers:
        # Each event is another one: what is lost here is lost by the kill, and by no race.
        return by_all(url, CLIENTS, SECONDS, lambda _: f"lab 7, {next(numbers)}, {get_ident()}")

    state: str | None = None
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load)
        time.sleep(BEFORE)
        if part in ("redis", "mysql") or twin == ASYNC:
            stack.kill(part)
            time.sleep(AWAY)
            state = _state(stack) if twin == ASYNC else None
            stack.start(part)
        answers = loading.result()
    recorded = final_counts(stack.settings, twin, answers.statuses[200], SETTLE_SECONDS).total()
    stack.stop_twin(twin)
    return {
        "acknowledged": answers.statuses[200],
        "failed": answers.statuses.total() - answers.statuses[200],
        "recorded": recorded,
        "state": state,
    }


def _state(stack: Stack) -> str:
    """Of the async twin. Raises StackError where it does not tell."""
    deadline = time.monotonic() + HEALTH_SECONDS
    while (text := fetch(stack.address(ASYNC), ASK_SECONDS, HEALTH)) is None:
        if time.monotonic() > deadline:
            raise StackError(f"{ASYNC} does not tell its health; its log is {stack.log_path(ASYNC)}")
        time.sleep(0.1)
    return str(json.loads(text)["data"]["ingest"]["state"])


def lost(measured: Measured) -> float:
    """Of the async twin, at least."""
    of: Outcome = measured["outcomes"][ASYNC]
    return float(max(of["acknowledged"] - of["recorded"], 0))


def state(measured: Measured) -> float:
    return float(STATES.index(measured["outcomes"][ASYNC]["state"]) + 1)


def show(console: Console, measured: Measured) -> None:
    table = Table(title=f"{measured['part']} killed, and back after {AWAY:g} s")
    for head in ("", *TWINS):
        table.add_column(head, justify="right" if head else "left")
    outcomes = [measured["outcomes"][twin] for twin in TWINS]
    table.add_row("acknowledged", *(f"{each['acknowledged']:,}" for each in outcomes))
    table.add_row("refused, or no answer", *(f"{each['failed']:,}" for each in outcomes))
    table.add_row("recorded in MySQL", *(f"{each['recorded']:,}" for each in outcomes))
    table.add_row("lost", *(f"{max(each['acknowledged'] - each['recorded'], 0):,}" for each in outcomes))
    table.add_row("events went to, meanwhile", *(each["state"] or "-" for each in outcomes))
    console.print(table)


def explain(measured: Measured) -> str:
    naive, async_ = (measured["outcomes"][twin] for twin in (NAIVE, ASYNC))
    return (
        f"The async twin lost {lost(measured):.0f} of {async_['acknowledged']:,}: what it has acknowledged "
        "is on a disk, in Redis's file, in MySQL's log or in a file of its own, and whoever comes back goes "
        "on from there. Each batch has an id that MySQL remembers, so what is done twice counts once.\n"
        f"The naive twin failed {naive['failed']:,} requests. It has one place for an event: without MySQL "
        "it can only refuse. That is honest, too: what it does not have it does not acknowledge."
    )


LAB = Lab(
    number=7,
    title="Break it",
    minutes=12,
    idea=(
        f"{CLIENTS} clients send new errors for {SECONDS:g} s. In the middle a part is killed, as `kill -9` "
        f"does it, and started again {AWAY:g} s later. First Redis, which the async twin counts in."
    ),
    predict=Question(
        "Redis is killed in the middle. How many events that the async twin has acknowledged are lost?",
        lost,
        within=0.0,
        unit="events",
    ),
    knob=Knob("what is killed: 1 Redis, 2 the worker, 3 the scheduler, 4 MySQL", 1, 1, 4, is_whole=True),
    measure=measure,
    show=show,
    explain=explain,
    checks=(
        Question(
            "Where did the async twin's events go while the part was away: 1 into Redis, 2 directly into "
            "MySQL, 3 into a file?",
            state,
            within=0.0,
            choices=len(STATES),
            mistakes=(
                Mistake(
                    lambda answer, found: answer == 3 and found["part"] == "redis",
                    "A file is the last resort. What was still there?",
                ),
                Mistake(
                    lambda answer, found: answer == 1 and found["part"] == "redis",
                    "It was dead. Look at the last line of the table.",
                ),
                Mistake(
                    lambda answer, found: answer > 1 and found["part"] != "redis",
                    "Does the answer to a client need that part at all?",
                ),
            ),
            hints=("GET /api/v1/health tells it, as `ingest`; the table has it in its last line.",),
            solution=lambda found: (
                f"{state(found):.0f}: with {found['part']} away events went to "
                f"{found['outcomes'][ASYNC]['state']}."
            ),
        ),
    ),
    passed=(
        "Acknowledge only what is on a disk; give everything an id before it can be sent twice; have a "
        "second place, and a third. docs/faults.md has 61 kinds of this experiment."
    ),
)
