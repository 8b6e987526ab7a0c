"""What was sent while faults were injected, and what each client was told of it."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from http.client import HTTPConnection
from itertools import count
from random import Random
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from loadtests.load.at_once import Status, post
from shared.answer import now
from shared.event import Event

Outcome = Literal["acknowledged", "refused", "unknown"]
USERS = 8
THINK_SECONDS = 0.01
PATIENCE = 30.0
"""Seconds that a client waits for an answer."""
SERVICES = ("default", "shop", "billing")
REPEATED = 50
REPEATED_SHARE = 0.6


class Sent(NamedTuple):
    event: Event
    outcomes: Counter[Outcome]


class History:
    """Every fingerprint that was sent, with its event and its outcomes; for several threads."""

    def __init__(self) -> None:
        self.began = now()
        self.ended: datetime | None = None
        self.sent: dict[str, Sent] = {}
        self.totals: Counter[Outcome] = Counter()
        self.statuses: Counter[Status] = Counter()
        self.answers: list[float] = []
        """When each event was acknowledged, on the monotonic clock."""
        self._lock = threading.Lock()

    def note(self, event: Event, status: Status) -> None:
        outcome = outcome_of(status)
        with self._lock:
            self.statuses[status] += 1
            self.sent.setdefault(event.fingerprint, Sent(event, Counter())).outcomes[outcome] += 1
            self.totals[outcome] += 1
            if outcome == "acknowledged":
                self.answers.append(time.monotonic())

    def acknowledged_since(self, moment: float) -> bool:
        return bool(self.answers) and self.answers[-1] > moment


def events(seed: int, user: str) -> Iterator[Event]:
    """Yield events without end; those of one fingerprint are the same, down to the stack trace."""
    random = Random(f"{seed} {user}")  # noqa: S311 - to be repeated, not to be secret
    for number in count():
        if random.random() < REPEATED_SHARE:
            yield _event(random.randrange(REPEATED), "repeated")
        else:
            yield _event(number, f"of {user}, seed {seed}")


def _event(number: int, name: str) -> Event:
    return Event.model_validate(
        {
            "message": f"fault {number} {name} \N{SNOWMAN}",
            "stackTrace": f"at {name}:{number}\n" * 5,
            "service": SERVICES[number % len(SERVICES)],
        }
    )


@contextmanager
def load(urls: str | Sequence[str], seed: int = 1) -> Iterator[History]:
    """Each user sends to one of them. At the end of the block every request has its outcome."""
    each = [urls] if isinstance(urls, str) else urls
    history, end = History(), threading.Event()
    users = [
        threading.Thread(target=_user, args=(each[number % len(each)], seed, f"user {number}", history, end))
        for number in range(USERS)
    ]
    for user in users:
        user.start()
    try:
        yield history
    finally:
        end.set()
        for user in users:
            user.join()
        history.ended = now()


def _user(url: str, seed: int, name: str, history: History, end: threading.Event) -> None:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
    for event in events(seed, name):
        if end.wait(THINK_SECONDS):
            break
        history.note(event, send(connection, event))
    connection.close()


def send(connection: HTTPConnection, event: Event) -> Status:
    try:
        if connection.sock is None:
            connection.connect()
    except OSError:
        connection.close()
        return NOT_CONNECTED
    return post(connection, event)


def outcome_of(status: Status) -> Outcome:
    """A 503 is unknown: the contract says that nobody may be able to tell."""
    return _OUTCOMES.get(status, "unknown")


NOT_CONNECTED = "not connected"
_OUTCOMES: Mapping[Status, Outcome] = {
    200: "acknowledged",
    **dict.fromkeys((NOT_CONNECTED, 400, 413, 415, 429), "refused"),
}
