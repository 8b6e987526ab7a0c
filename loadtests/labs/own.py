"""Lab 10: a third twin, the learner's own."""

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table
from typing_extensions import TypedDict

from loadtests.bootstrap import ROOT
from loadtests.labs.contract import CASES, ISSUES, NO_ANSWER, PATIENCE, differences
from loadtests.labs.lab import Bench, Knob, Lab, Measured, Question, Task, Verdict, copied
from loadtests.labs.logs import end_of, last_error
from loadtests.load.at_once import Answers, Status, by_all, one_by_one
from loadtests.load.pace import PACE
from loadtests.load.subjects import ASYNC, NAIVE, TWINS
from loadtests.stack import Stack, process
from loadtests.stack.scrape import fetch
from loadtests.stack.servers import LOOPBACK, free_port, is_heard
from shared.answer import Success
from shared.event import Event
from shared.fingerprint import fingerprint
from shared.listing import IssueView, Page

SKELETON = ROOT / "workshop" / "skeleton" / "third.py"
CLIENTS = 16
SECONDS = 3.0 * PACE
START_SECONDS, COUNT_SECONDS = 30.0, 10.0 * PACE
"""That it may take to answer, and until everything that it has acknowledged is counted."""
MESSAGES = 50
WHOLE = Event.model_validate(
    {"message": "all that an event says", "service": "lab-10", "stackTrace": "at lab 10"}
)
"""Its issue has to say the same."""
NAMED = 3
"""Requests that are answered otherwise, of those that a verdict tells."""


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
    """It answers as the contract says, keeps what it acknowledges, and is faster than the naive twin."""
    program = mine(bench)
    with bench.stack() as stack:
        stack.reset()
        bench.step(f"{len(CASES)} requests of the contract, then a load")
        with running(stack, program) as (url, log):
            if url is None:
                return _mute(log)
            if wrong := [*differences(url)]:
                return _differing(wrong, log)
            whole, answers = one_by_one(url, [WHOLE], patience=PATIENCE), _loaded(url, CLIENTS)
            if refused := _failed(answers.statuses + whole, log):
                return refused
        bench.step("it is killed, and started again: what is there of the load?")
        with running(stack, program) as (url, log):
            if url is None:
                return _mute(log)
            if why := _forgotten(url, answers):
                return Verdict(False, why)
            bench.step("the same load again: the naive twin, yours, and the naive twin once more")
            before = _naive_rate(stack)
            again = _loaded(url, CLIENTS)
            return _failed(again.statuses, log) or compared(again.rate, before, _naive_rate(stack))


def _naive_rate(stack: Stack) -> float:
    stack.start(NAIVE)
    rate = _loaded(stack.base_url(NAIVE), CLIENTS).rate
    stack.stop(NAIVE)
    return rate


def _mute(log: Path) -> Verdict:
    return Verdict(False, f"It does not answer. {_end(log)}")


def _end(log: Path) -> str:
    return f"Its log:\n{end_of(log)}"


def _differing(wrong: Sequence[str], log: Path) -> Verdict:
    told = "\n".join(["", *wrong[:NAMED]])
    has_failed = last_error(log) or NO_ANSWER in wrong[-1]
    return Verdict(
        False,
        f"{len(wrong)} of {len(CASES)} requests are not answered as docs/contract.md says:{told}"
        + (f"\n{_end(log)}" if has_failed else ""),
    )


def _failed(statuses: Counter[Status], log: Path) -> Verdict | None:
    """Say how many were not answered 200, and what came instead; None where all were."""
    failed = ", ".join(
        f"{events:,} {f'had no answer ({status})' if isinstance(status, str) else f'were answered {status}'}"
        for status, events in statuses.items()
        if status != HTTPStatus.OK
    )
    return Verdict(False, f"Of {statuses.total():,} events {failed}. {_end(log)}") if failed else None


def _forgotten(url: str, answers: Answers) -> str | None:
    """Say what a twin that was killed at the end of the load does not have, or has otherwise."""
    acknowledged = answers.statuses[200] + 1
    deadline = time.monotonic() + COUNT_SECONDS
    try:
        while (counted := _counted(url)) < acknowledged and time.monotonic() < deadline:
            time.sleep(0.2)
        if counted < acknowledged:
            return (
                f"Of {acknowledged:,} acknowledged events {counted:,} are counted. At the end of the load it "
                "was killed, and started again: what it has in its own memory, or would write later, is gone "
                "then. Answer when MySQL has it."
            )
        if counted > acknowledged:
            return f"{acknowledged:,} events were sent, and {counted:,} are counted."
        return _unlike(url)
    except ValueError as error:
        return f"An issue is not answered as docs/contract.md says: {error}"


def _counted(url: str) -> int:
    """Raises ValueError where an issue has another form."""
    keys = (WHOLE.fingerprint, *(fingerprint(f"lab 10, {number}") for number in range(MESSAGES)))
    return sum(issue.times_seen for issue in (_issue(url, key) for key in keys) if issue)


def _issue(url: str, key: str) -> IssueView | None:
    text = _asked(url, f"{ISSUES}/{key}")
    return Success[IssueView].model_validate_json(text).data if text else None


def _asked(url: str, path: str) -> str | None:
    return fetch(urlsplit(url).netloc, PATIENCE, path)


def _unlike(url: str) -> str | None:
    """Say what an issue does not have of what its event said. Raises ValueError where it has another form."""
    issue = _issue(url, WHOLE.fingerprint)
    if issue is None:
        return f"GET {ISSUES}/{WHOLE.fingerprint} finds nothing, and its event was acknowledged."
    said = {"service": issue.service, "message": issue.message, "stackTrace": issue.stackTrace}
    for name, should in WHOLE.model_dump(by_alias=True).items():
        if said[name] != should:
            return (
                f"Every event is counted, but the issue does not say what its event said: {name} is "
                f"{said[name]!r}, should be {should!r}."
            )
    text = _asked(url, f"{ISSUES}?service={WHOLE.service}")
    listed = Success[Page].model_validate_json(text).data.issues if text else []
    if [each.fingerprint for each in listed] != [WHOLE.fingerprint]:
        return (
            f"Every event is counted, but GET {ISSUES}?service={WHOLE.service} has {len(listed)} issues, "
            "should have the one of that service."
        )
    return None


def compared(rate: float, before: float, after: float) -> Verdict:
    """With the naive twin, measured before and after: of a machine that is busy for a while one is wrong."""
    slower, faster = sorted((before, after))
    if rate <= faster and slower < faster / 2:  # what was slow then may have made this one slow
        return Verdict(
            False,
            f"Every event is counted, after a kill too. It answers {rate:,.0f} a second; but the naive twin "
            f"answered {before:,.0f} before and {after:,.0f} after: something else keeps this machine busy, "
            "and which is faster can't be told. Try again.",
        )
    speed = f"It answers {rate:,.0f} a second, the naive twin {faster:,.0f}."
    if rate <= faster:
        return Verdict(False, f"Every event is counted. {speed}")
    return Verdict(True, f"Every event is counted, after a kill too, and it is faster. {speed}")


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
    idea="Two twins, one contract. Now yours: a program of sixty lines that answers, and forgets.",
    predict=Question(
        f"{CLIENTS} clients without a pause. How many times as many answers as the naive twin does the "
        "async one give?",
        times_as_fast,
        within=0.3,
        unit="times",
        least=1.0,
    ),
    knob=Knob("how many clients", CLIENTS, 1, 64, is_whole=True),
    measure=measure,
    show=show,
    explain=explain,
    checks=(),
    task=Task(
        about=(
            "Make it keep what it acknowledges, whenever it is killed, count each event once whoever else is "
            "there, and give more answers than the naive twin. What has to be answered how: docs/contract.md."
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
        "Put it beside the others: `make own` runs it and tells its address, then in another terminal `make "
        "bench HOST=http://...`. It becomes a third column, audited like the twins."
    ),
)
