"""Lab 2: two requests, one row; and three ways to mend it."""

import random
from pathlib import Path

from rich.console import Console
from rich.table import Table
from typing_extensions import TypedDict

from loadtests.bootstrap import ROOT
from loadtests.labs.lab import Bench, Knob, Lab, Measured, Mistake, Question, Task, Verdict, copied
from loadtests.labs.logs import last_error
from loadtests.labs.rush import MESSAGE, PATIENCE, SECONDS, Raced, raced
from loadtests.load.subjects import NAIVE
from loadtests.stack import Stack, StackError
from loadtests.trial.reconcile import Table as Issues
from loadtests.trial.reconcile import connect
from shared.db import create_tables, make_background_engine
from shared.fingerprint import fingerprint

ORIGINAL = ROOT / "naive_sync" / "ingest.py"
CLIENTS = 16
STARTS = (100, 300)
"""Of the row by hand: more than there are clients, for one of which it might be taken."""
PROCESSES = 2
"""Of the learner's copy: with one, a lock of Python's would do."""
APART = f"There are {PROCESSES} processes, and each has for itself what Python holds: a lock, a count."


class Move(TypedDict):
    who: str
    """"A" or "B"."""
    what: str
    sees: int


class Found(Raced):
    moves: list[Move]
    start: int
    end: int
    """What the row says before and after two events, by hand."""


def measure(bench: Bench, clients: float) -> Found:
    with bench.stack() as stack:
        create_tables(make_background_engine(stack.settings))
        bench.step("two transactions on one row, by hand")
        start = random.randint(*STARTS)  # noqa: S311 - so that nobody knows it from the page
        moves, end = _interleaved(stack, start)
        bench.step(f"{clients:.0f} clients on one row for {SECONDS:g} s")
        return {"moves": moves, "start": start, "end": end, **raced(stack, int(clients), None)}


def _interleaved(stack: Stack, start: int) -> tuple[list[Move], int]:
    """What the naive twin's statements do in the worst order."""
    stack.reset()
    key = fingerprint(MESSAGE)
    with connect(stack.settings) as a, connect(stack.settings) as b, connect(stack.settings) as outside:
        with outside.cursor() as cursor:
            cursor.execute(
                "INSERT INTO issues (fingerprint, service, message, times_seen, first_seen, last_seen) "
                "VALUES (%s, 'default', %s, %s, NOW(), NOW())",
                (key, MESSAGE, start),
            )
        moves: list[Move] = []
        seen: dict[str, int] = {}
        sessions = {"A": a, "B": b}
        for session in sessions.values():
            session.begin()
        for who in "AB":
            with sessions[who].cursor() as cursor:
                cursor.execute("SELECT times_seen FROM issues WHERE fingerprint = %s", (key,))
                ((seen[who],),) = cursor.fetchall()
            moves.append({"who": who, "what": "SELECT times_seen", "sees": seen[who]})
        for who in "AB":
            with sessions[who].cursor() as cursor:
                cursor.execute(
                    "UPDATE issues SET times_seen = %s WHERE fingerprint = %s", (seen[who] + 1, key)
                )
            sessions[who].commit()
            moves.append({"who": who, "what": "UPDATE times_seen; COMMIT", "sees": seen[who] + 1})
        return moves, Issues(outside).counts()[key]


def mine(bench: Bench) -> Path:
    return copied(bench, ORIGINAL, 2)


def verify(bench: Bench) -> Verdict:
    """Run the learner's copy as the naive twin."""
    path = mine(bench)
    with bench.stack(workers=PROCESSES) as stack:
        try:
            bench.step(f"your copy under the same load, in {PROCESSES} processes")
            compile(path.read_text(), path.name, "exec")
            found = raced(stack, CLIENTS, path)
        except SyntaxError as error:  # the server's own words would be about an import
            return Verdict(False, f"{path.name}, line {error.lineno}: {error.msg}.")
        except ValueError as error:
            return Verdict(False, f"{path.name} can't be read: {error}.")
        except StackError as error:
            return Verdict(False, f"Your copy does not start:\n{error}")
    return _judged(found, stack.log_path(NAIVE))


def _judged(found: Raced, log: Path) -> Verdict:
    if found["unended"]:
        return Verdict(
            False,
            f"{found['unended']:,} requests did not end within {PATIENCE:g} s. Where your copy tries again: "
            "a transaction that reads a second time sees the same picture. Commit or roll back before you "
            f"try again. The log is {log}.",
        )
    if not found["acknowledged"]:
        return Verdict(False, f"Not one event was answered 200. {_said(log)}")
    if why := _miscounted(found):
        return Verdict(False, why)
    if found["refused"]:
        why = (
            "Two first events still race: while there is no row, there is none to lock. Both insert, and one "
            f"is refused, by the unique key (500) or as a deadlock (503). {APART}"
            if found["new_refused"]
            else "First events were not refused, so it was in the rush on one row."
        )
        return Verdict(
            False,
            f"No count is lost, but {found['refused']:,} answers were not 200. {why} {_said(log)}",
        )
    if found["wrong"]:
        return Verdict(False, f"Every count is right, but not what else the rows say: {found['wrong']}.")
    acknowledged = found["acknowledged"] + found["new_acknowledged"]
    return Verdict(
        True,
        f"Nothing lost of {acknowledged:,}, and every answer was 200; {found['rate']:,.0f} a second on one "
        "row, this time.",
    )


def _miscounted(found: Raced) -> str | None:
    if found["strange"]:
        return (
            f"{found['strange']:,} events are in rows of errors that nobody sent. Each belongs in the row of "
            "its own fingerprint, event.fingerprint."
        )
    if found["lost"]:
        acknowledged = found["acknowledged"] + found["new_acknowledged"]
        elsewhere = f", and {found['doubled']:,} too many are in other rows" if found["doubled"] else ""
        return f"{found['lost']:,} of {acknowledged:,} counts are still lost{elsewhere}. {APART}"
    if found["doubled"]:
        return f"{found['doubled']:,} events were counted that nobody was told of."
    return None


def _said(log: Path) -> str:
    error = last_error(log)
    return f"The log's last error: {error} The log is {log}." if error else f"The log is {log}."


def lost_percent(measured: Measured) -> float:
    return 100 * (1 - float(measured["recorded"]) / max(float(measured["acknowledged"]), 1.0))


def show(console: Console, measured: Measured) -> None:
    table = Table(title=f"Two events, a row that says {measured['start']}", title_justify="left")
    for head in ("request A", "request B"):
        table.add_column(head)
    for move in measured["moves"]:
        cell = f"{move['what']}: {move['sees']}"
        table.add_row(*((cell, "") if move["who"] == "A" else ("", cell)))
    console.print(table)
    console.print(
        f"Many clients on one row: {measured['acknowledged']:,} acknowledged, {measured['recorded']:,} "
        f"recorded. All of them send new errors at once: {measured['errors']:,} answers had status 500."
    )


def explain(measured: Measured) -> str:
    return (
        "Both requests read the same number, and both write that number plus one: of two events one is in "
        "the row. No transaction prevents it: each reads a consistent picture, and neither sees what the "
        f"other is about to do. Of {measured['acknowledged']:,} events {lost_percent(measured):.0f} % went "
        "that way. Where there is no row yet, both find none, and both insert: the unique key lets one "
        "through, the other is answered 500."
    )


LAB = Lab(
    number=2,
    title="The race",
    minutes=15,
    idea="Two requests, one row. First by hand, in the order that hurts; then from many clients at once.",
    predict=Question(
        f"{CLIENTS} clients report one and the same error for {SECONDS:g} s. Of 100 events that the naive "
        "twin has acknowledged, how many are not in the count?",
        lost_percent,
        within=0.25,
        unit="per cent",
        least=10.0,
    ),
    knob=Knob("how many clients", CLIENTS, 1, 64, is_whole=True),
    measure=measure,
    show=show,
    explain=explain,
    checks=(
        Question(
            "What does the row in the picture say when both have committed?",
            lambda found: float(found["end"]),
            within=0.0,
            mistakes=(
                Mistake(
                    lambda answer, found: answer == found["start"] + 2,
                    "That is what it should say. Look at what each of them has read.",
                ),
                Mistake(
                    lambda answer, found: answer == found["start"],
                    "Both did write, and both have committed. What did they write?",
                ),
            ),
            hints=("The second UPDATE knows nothing of the first: it writes what it has calculated before.",),
            solution=lambda found: f"{found['end']}: the second UPDATE writes what the first has written.",
        ),
    ),
    task=Task(
        about=(
            "Mend it in your copy of naive_sync/ingest.py. Three ways: one statement, INSERT ... ON "
            "DUPLICATE KEY UPDATE, in which the database adds; SELECT ... FOR UPDATE; or an UPDATE that only "
            "takes effect while the row still says what was read, tried again otherwise. It is run in "
            f"{PROCESSES} processes."
        ),
        file=mine,
        verify=verify,
        hints=(
            "Where is the number calculated: in Python, or in MySQL? While Python has it, it can get old.",
            "SQLAlchemy: `select(Issue).where(...).with_for_update()`; and for a row that is not there yet "
            "catch IntegrityError, and OperationalError 1213, a deadlock, which is answered 503: roll back, "
            "and go on as with one that is.",
            "With `sqlalchemy.dialects.mysql.insert(Issue).values(...).on_duplicate_key_update("
            "times_seen=Issue.times_seen + 1, ...)` there is nothing to read at all.",
            "Does it never end? In one transaction each SELECT sees what the first one saw (REPEATABLE "
            "READ). Commit or roll back before you try again.",
        ),
        solutions="workshop/solutions/lab-2",
    ),
    passed=(
        "Read, change, write back is a race whatever the database, unless one of the two steps takes a lock "
        "or checks. To let the database add needs neither, and no round trip more."
    ),
)
