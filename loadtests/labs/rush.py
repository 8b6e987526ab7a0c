"""The rush of lab 2: all clients at once on one row, then on new ones; and what is in the table then."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path

from typing_extensions import TypedDict

from loadtests.bootstrap import ROOT
from loadtests.load.at_once import Status, by_all, one_by_one
from loadtests.load.pace import PACE
from loadtests.load.subjects import NAIVE
from loadtests.stack import Stack
from loadtests.trial.reconcile import Connection, connect, reconcile
from loadtests.trial.reconcile import Table as Issues
from shared.event import Event
from shared.fingerprint import fingerprint

WITHIN = Path(__file__).parent / "within"
SECONDS = 3.0 * PACE
MESSAGE = "lab 2"
ROUNDS, ROUND_SECONDS = 15, 0.01
"""Of new errors: in each all clients send the same one at the same moment."""
ROUNDS_ON_ONE = 4
"""That share SECONDS."""
PATIENCE = 15.0
"""Seconds that a client waits for an answer: on one row all commit one after the other, which takes less."""
WHOLE = Event.model_validate(
    {"message": "all that an event says", "service": "lab-2", "stackTrace": "at lab 2"}
)
"""Its row has to say the same."""


class Raced(TypedDict):
    acknowledged: int
    recorded: int
    """Of one row."""
    rate: float
    """Answers a second, of all clients at once on one row."""
    new_acknowledged: int
    new_recorded: int
    """Of ROUNDS of new errors and WHOLE, in their own rows."""
    lost: int
    doubled: int
    """Row by row: acknowledged and not recorded, recorded and not acknowledged."""
    strange: int
    """Events in rows of errors that nobody sent."""
    wrong: str
    """What a row says beside its count, and should not; "" where nothing is wrong."""
    errors: int
    """Answers of 500."""
    refused: int
    """Answers that are not 200."""
    new_refused: int
    """Those of them that new errors got."""
    unended: int
    """Requests without an answer within PATIENCE."""


Statuses = dict[str, Counter[Status]]
"""Of the answers, by the fingerprint of the event."""


def raced(stack: Stack, clients: int, ingest: Path | None) -> Raced:
    """With a file in the place of the naive twin's `ingest.py`. Raises StackError where it can't start."""
    stack.reset()
    with _running(stack, ingest) as url:
        on_one, seconds = _sent(url, clients, SECONDS / ROUNDS_ON_ONE, repeat(MESSAGE, ROUNDS_ON_ONE))
        one = on_one[fingerprint(MESSAGE)]
        on_new: Statuses = {}
        if not _is_stuck(one):
            on_new, _ = _sent(url, clients, ROUND_SECONDS, (f"new error {each}" for each in range(ROUNDS)))
            on_new[WHOLE.fingerprint] = one_by_one(url, [WHOLE], patience=PATIENCE)
    with connect(stack.settings) as mysql:
        counts = Issues(mysql).counts()
        wrong = _wrong(mysql)
    new = sum(on_new.values(), Counter[Status]())
    every = one + new
    acknowledged = {key: statuses[200] for key, statuses in (on_one | on_new).items()}
    checked = reconcile(acknowledged, {}, counts)
    strange = sum(events for key, events in counts.items() if key not in acknowledged)
    return {
        "acknowledged": one[200],
        "recorded": counts[fingerprint(MESSAGE)],
        "rate": one[200] / seconds,
        "new_acknowledged": new[200],
        "new_recorded": sum(counts[key] for key in on_new),
        "lost": checked["lost"],
        "doubled": checked["extra"] - strange,
        "strange": strange,
        "wrong": wrong,
        "errors": every[500],
        "refused": every.total() - every[200],
        "new_refused": new.total() - new[200],
        "unended": every[TimeoutError.__name__],
    }


def _sent(url: str, clients: int, seconds: float, messages: Iterable[str]) -> tuple[Statuses, float]:
    """A round for each message, with new connections: of two processes one may get all of a round's.

    Returns what came of them, and the seconds that all took. It ends once a request has no answer: the next
    would wait as long.
    """
    began, found = time.monotonic(), Statuses()
    for message in messages:
        statuses, key = _at_once(url, clients, seconds, message), fingerprint(message)
        found[key] = found.get(key, Counter()) + statuses
        if _is_stuck(statuses):
            break
    return found, time.monotonic() - began


def _at_once(url: str, clients: int, seconds: float, message: str) -> Counter[Status]:
    return by_all(url, clients, seconds, lambda _: message, patience=PATIENCE).statuses


def _is_stuck(statuses: Counter[Status]) -> bool:
    return any(isinstance(status, str) for status in statuses)


def _wrong(mysql: Connection) -> str:
    """Of the row of WHOLE what it says, and of that of MESSAGE whether it says when the last event came."""
    with mysql.cursor() as cursor:
        cursor.execute(
            "SELECT service, message, stack_trace FROM issues WHERE fingerprint = %s", [WHOLE.fingerprint]
        )
        said = cursor.fetchone()
        cursor.execute(
            "SELECT last_seen > first_seen FROM issues WHERE fingerprint = %s", [fingerprint(MESSAGE)]
        )
        is_later = cursor.fetchone()
    sent = {"service": WHOLE.service, "message": WHOLE.message, "stack_trace": WHOLE.stack_trace}
    found = [
        f"{column} is {value!r}, should be {sent[column]!r}"
        for column, value in zip(sent, said or sent.values(), strict=True)
        if value != sent[column]
    ]
    if is_later == (0,):
        found.append("last_seen is not later than first_seen, after seconds of events on that row")
    return "; ".join(found)


@contextmanager
def _running(stack: Stack, ingest: Path | None) -> Iterator[str]:
    own = {"PYTHONPATH": f"{WITHIN}:{ROOT}", "LAB_INGEST": str(ingest)} if ingest else {}
    stack.start(NAIVE, more={NAIVE: own})
    try:
        yield stack.base_url(NAIVE)
    finally:
        if ingest:
            stack.kill(NAIVE)  # it would wait for requests, and one of a learner's may have no end
        stack.stop(NAIVE)
