"""Many clients at once for a few seconds, to show something: what they were answered, and how fast.

What is measured for comparison is the profile's and Locust's.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from statistics import quantiles
from typing import NamedTuple
from urllib.parse import urlsplit

from shared.event import PATH, Event

PATIENCE = 30.0
"""Seconds that a client waits for an answer."""


class Answers(NamedTuple):
    statuses: Counter[int | str]
    """A status, or the name of the error that came instead of one."""
    seconds: float
    p95: float
    """Milliseconds, of those that were answered 200."""

    @property
    def rate(self) -> float:
        """Answers of 200 a second."""
        return self.statuses[200] / self.seconds


def by_all(url: str, clients: int, seconds: float, message: Callable[[int], str]) -> Answers:
    """`message` gives the text of a client's event by its number; each sends the next when it is answered."""
    statuses: Counter[int | str] = Counter()
    took: list[float] = []
    start = threading.Barrier(clients)

    def client(_: int) -> float:
        connection = HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
        start.wait()
        began = time.monotonic()
        number, ends = 0, began + seconds
        while (now := time.monotonic()) < ends:
            status = _status(connection, message(number))
            number += 1
            statuses[status] += 1
            if status == 200:
                took.append(1_000 * (time.monotonic() - now))
        connection.close()
        return time.monotonic() - began

    with ThreadPoolExecutor(clients) as pool:
        longest = max(pool.map(client, range(clients)))
    return Answers(statuses, longest, quantiles(took, n=20)[-1] if len(took) > 1 else 0.0)


def _status(connection: HTTPConnection, message: str) -> int | str:
    body = Event(message=message).model_dump_json(by_alias=True).encode()
    try:
        connection.request("POST", PATH, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
    except (OSError, HTTPException) as error:
        connection.close()
        return type(error).__name__
    return answer.status
