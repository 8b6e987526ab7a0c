"""Lab 10: a third twin, the learner's own."""

import http.client
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table
from typing_extensions import TypedDict

from loadtests.bootstrap import ROOT
from loadtests.labs.lab import Bench, Knob, Lab, Measured, Question, Task, Verdict, copied
from loadtests.load.at_once import Answers, by_all
from loadtests.load.pace import PACE
from loadtests.load.subjects import ASYNC, NAIVE, TWINS
from loadtests.stack import Stack, process
from loadtests.stack.scrape import fetch
from loadtests.stack.servers import LOOPBACK, free_port, is_heard
from shared.event import PATH
from shared.fingerprint import fingerprint
from shared.listing import IssueView

SKELETON = ROOT / "workshop" / "skeleton" / "third.py"
CLIENTS = 16
SECONDS = 3.0 * PACE
START_SECONDS, COUNT_SECONDS = 30.0, 10.0 * PACE
"""That it may take to answer, and until everything that it has acknowledged is counted."""
MESSAGES = 50


class Found(TypedDict):
    rates: dict[str, float]
    """Answers of 200 a second, by twin."""


def measure(bench: Bench, clients: float) -> Found:
    rates: dict[str, float] = {}
    with bench.stack() as stack:
        for twin in TWINS:
            bench.step(f"{twin}, {clients:.0f} clients, {SECONDS:g} s")
            stack.reset()
            stack.start_twin(twin)
            rates[twin] = _loaded(stack.base_url(twin), int(clients)).rate
            stack.stop_twin(twin)
    return {"rates": rates}


def _loaded(url: str, clients: int) -> Answers:
    return by_all(url, clients, SECONDS, lambda number: f"lab 10, {number % MESSAGES}")


def mine(bench: Bench) -> Path:
    return copied(bench, SKELETON, 10)


def verify(bench: Bench) -> Verdict:
    """It answers as the contract says, counts what it acknowledges, and is faster than the naive twin."""
    with bench.stack() as stack:
        bench.step("the naive twin, to compare with")
        stack.start(NAIVE)
        stack.reset()
        naive = _loaded(stack.base_url(NAIVE), CLIENTS).rate
        stack.stop(NAIVE)
        stack.reset()
        bench.step("yours")
        with running(stack, mine(bench)) as (url, log):
            if url is None:
                return Verdict(False, f"It does not answer:\n{log.read_text()[-2_000:]}")
            return _judged(url, naive)


def _judged(url: str, naive: float) -> Verdict:
    for body, expected in ((b'{"message": "one"}', 200), (b"no JSON", 400), (b"{}", 400)):
        if (status := _post(url, body)) != expected:
            return Verdict(
                False, f"{body!r} is answered {status}, and should be {expected}: docs/contract.md."
            )
    answers = _loaded(url, CLIENTS)
    if not answers.statuses[200]:
        return Verdict(False, f"Not one event was answered 200: {dict(answers.statuses)}.")
    deadline = time.monotonic() + COUNT_SECONDS
    while (counted := _counted(url)) < answers.statuses[200] and time.monotonic() < deadline:
        time.sleep(0.2)
    speed = f"It answers {answers.rate:,.0f} a second, the naive twin {naive:,.0f}."
    if counted != answers.statuses[200]:
        return Verdict(
            False, f"Of {answers.statuses[200]:,} acknowledged events {counted:,} are counted. {speed}"
        )
    if answers.rate <= naive:
        return Verdict(False, f"Every event is counted. {speed}")
    return Verdict(True, f"Every event is counted, and it is faster. {speed}")


def _counted(url: str) -> int:
    total = 0
    for number in range(MESSAGES):
        path = f"/api/v1/errors/{fingerprint(f'lab 10, {number}')}"
        text = fetch(url.removeprefix("http://"), 5.0, path)
        total += IssueView.model_validate(json.loads(text)["data"]).times_seen if text else 0
    return total


def _post(url: str, body: bytes) -> int | str:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        connection.request("POST", PATH, body, {"Content-Type": "application/json"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()


@contextmanager
def running(stack: Stack, program: Path) -> Iterator[tuple[str | None, Path]]:
    """Its address, None where it does not answer, and its log."""
    port = free_port()
    log = program.with_suffix(".log")
    log.unlink(missing_ok=True)
    environment = stack.environment() | {"PYTHONPATH": str(ROOT)}
    child = process.spawn([sys.executable, str(program), str(port)], log, environment, None)
    try:
        deadline = time.monotonic() + START_SECONDS
        while child.poll() is None and time.monotonic() < deadline:
            if is_heard(port):
                yield f"http://{LOOPBACK}:{port}", log
                return
            time.sleep(0.1)
        yield None, log
    finally:
        process.kill(child)


def times_as_fast(measured: Measured) -> float:
    return float(measured["rates"][ASYNC] / measured["rates"][NAIVE])


def show(console: Console, measured: Measured) -> None:
    table = Table(title="Answers a second, without a pause")
    for twin in TWINS:
        table.add_column(twin, justify="right")
    table.add_row(*(f"{measured['rates'][twin]:,.0f}" for twin in TWINS))
    console.print(table)


def explain(measured: Measured) -> str:
    return (
        f"Between the two lie {times_as_fast(measured):.1f} times. The clients here are a Python program "
        "themselves and cost as much as a server: `make bench` sends with less, and finds more. What lies "
        "between, step by step, is docs/ladder.md."
    )


LAB = Lab(
    number=10,
    title="Your own",
    minutes=30,
    is_timed=True,
    idea="Two twins, one contract. Now yours: a program of fifty lines that answers, and forgets.",
    predict=Question(
        f"{CLIENTS} clients without a pause. How many times as many answers as the naive twin does the "
        "async one give?",
        times_as_fast,
        within=0.3,
        unit="times",
        least=1.0,
    ),
    knob=Knob("how many clients", CLIENTS, 1, 64),
    measure=measure,
    show=show,
    explain=explain,
    checks=(),
    hints=(),
    solution=lambda _: "",
    task=Task(
        about=(
            "Make it keep what it acknowledges, count each event once whoever else is there, and give more "
            "answers than the naive twin. What has to be answered how: docs/contract.md."
        ),
        file=mine,
        verify=verify,
        hints=(
            "First make it right: one INSERT ... ON DUPLICATE KEY UPDATE in keep().",
            "Then ask what it waits for: one fsync for each event. Who could share one?",
            "A thread that takes all events which wait, writes them in one statement, and tells who waited.",
        ),
        solutions="workshop/solutions/lab-10",
    ),
    passed=(
        "Put it beside the others: start it with `make up` running, then `make bench HOST=http://...`. It "
        "becomes a third column, audited like the twins."
    ),
)
