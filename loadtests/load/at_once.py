"""Many clients at once for a few seconds, to show something: what they were answered, and how fast.

What is measured for comparison is the profile's and Locust's.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from statistics import quantiles
from typing import NamedTuple
from urllib.parse import urlsplit

from shared.event import PATH, Event
from shared.fingerprint import DEFAULT_SERVICE

ROUNDS = 4
PATIENCE = 30.0
"""Seconds that a client waits for an answer."""


Status = int | str
"""Of an answer, or the name of the error that came instead of one."""


class Answers(NamedTuple):
    statuses: Counter[Status]
    seconds: float
    p95: float
    """Milliseconds, of those that were answered 200."""

    @property
    def rate(self) -> float:
        """Answers of 200 a second."""
        return self.statuses[200] / self.seconds


def by_all(  # noqa: PLR0913 - what is sent, and two that seldom differ
    url: str,
    clients: int,
    seconds: float,
    message: Callable[[int], str],
    service: str = DEFAULT_SERVICE,
    *,
    patience: float = PATIENCE,
) -> Answers:
    """`message` gives the text of a client's event by its number; each sends the next when it is answered.

    `patience` is in seconds: for so long it waits for an answer.
    """
    start = threading.Barrier(clients)

    def client(_: int) -> tuple[float, Counter[Status], list[float]]:
        statuses, took = Counter[Status](), list[float]()
        connection = HTTPConnection(urlsplit(url).netloc, timeout=patience)
        start.wait()
        began = time.monotonic()
        number, ends = 0, began + seconds
        while (now := time.monotonic()) < ends:
            status = post(connection, Event(message=message(number), service=service))
            number += 1
            statuses[status] += 1
            if status == 200:
                took.append(1_000 * (time.monotonic() - now))
        connection.close()
        return time.monotonic() - began, statuses, took

    with ThreadPoolExecutor(clients) as pool:
        lasted, statuses, took = zip(*pool.map(client, range(clients)), strict=True)
    every = [each for of_one in took for each in of_one]
    p95 = quantiles(every, n=20)[-1] if len(every) > 1 else 0.0
    return Answers(sum(statuses, Counter()), max(lasted), p95)


def in_rounds(
    url: str,
    clients: int,
    seconds: float,
    message: Callable[[int], str],
    service: str = DEFAULT_SERVICE,
) -> tuple[Counter[Status], float]:
    """As `by_all`, with new connections in each round: of several processes one may get all of a round's.

    Returns what came of them, and the seconds that all took.
    """
    began, statuses = time.monotonic(), Counter[Status]()
    for _ in range(ROUNDS):
        statuses += by_all(url, clients, seconds / ROUNDS, message, service).statuses
    return statuses, time.monotonic() - began


def one_by_one(url: str, events: Iterable[Event], *, patience: float = PATIENCE) -> Counter[Status]:
    """Sends them on one connection, each when the one before is answered, or has failed."""
    with closing(HTTPConnection(urlsplit(url).netloc, timeout=patience)) as connection:
        return Counter(post(connection, event) for event in events)


def each_sends(url: str, clients: int, events: Callable[[int], Iterable[Event]]) -> Counter[Status]:
    """`clients` at once, `one_by_one`; `events` gives a client's by its number."""
    with ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(lambda number: one_by_one(url, events(number)), range(clients)), Counter())


def post(connection: HTTPConnection, event: Event) -> Status:
    """Return what came of it; after an error the connection is closed, and opens itself again."""
    body = event.model_dump_json(by_alias=True).encode()
    try:
        connection.request("POST", PATH, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
    except (OSError, HTTPException) as error:
        connection.close()
        return type(error).__name__
    return answer.status


def of_its_own(name: str, number: int, distinct: int) -> str:
    """Return the message of an error that no other client sends: no two wait for one row."""
    return f"{name}, {number % distinct}, {threading.get_ident()}"
