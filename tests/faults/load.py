"""A small continuous load over real HTTP that knows what each of its events was answered."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from loadtests.load.workload import Event, events
from shared.fingerprint import fingerprint
from tests.client import JSON, LOG
from tests.parts import wait_until

USERS = 8
THINK_SECONDS = 0.005
"""Keeps a twin that refuses at once from being asked in a tight loop."""


class Load:
    """Answers by fingerprint. Whatever is not a 200 is unanswered: it may have been counted, or not."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url).netloc
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self.acknowledged: Counter[str] = Counter()
        self.unanswered: Counter[str] = Counter()
        self.statuses: Counter[int | str] = Counter()

    def user(self, name: str) -> None:
        connection = HTTPConnection(self._address, timeout=20)
        for each in events(1, name):
            if self._ended.wait(THINK_SECONDS):
                break
            self._note(each, _status(connection, each))
        connection.close()

    def _note(self, event: Event, status: int | str) -> None:
        with self._lock:
            self.statuses[status] += 1
            answers = self.acknowledged if status == 200 else self.unanswered
            answers[fingerprint(event.message)] += 1

    def await_acknowledged(self, events: int) -> None:
        """Waits for that many more."""
        enough = self.acknowledged.total() + events
        wait_until(lambda: self.acknowledged.total() >= enough)

    def end(self) -> None:
        self._ended.set()


def _status(connection: HTTPConnection, event: Event) -> int | str:
    try:
        connection.request("POST", LOG, event.body, JSON)
        response = connection.getresponse()
        response.read()
    except (OSError, HTTPException) as error:
        connection.close()
        return type(error).__name__
    return response.status


@contextmanager
def load(url: str) -> Iterator[Load]:
    """At the end of the block every request has had its answer."""
    running = Load(url)
    users = [threading.Thread(target=running.user, args=(f"user {number}",)) for number in range(USERS)]
    for user in users:
        user.start()
    try:
        yield running
    finally:
        running.end()
        for user in users:
            user.join()


def check(load: Load, recorded: dict[str, int]) -> None:
    """Nothing acknowledged is lost, and nothing that was not sent is counted."""
    asked = load.acknowledged | load.unanswered
    wrong = {
        key: (load.acknowledged[key], recorded.get(key, 0), load.acknowledged[key] + load.unanswered[key])
        for key in asked.keys() | recorded.keys()
        if not load.acknowledged[key] <= recorded.get(key, 0) <= load.acknowledged[key] + load.unanswered[key]
    }
    assert wrong == {}, "fingerprint: (acknowledged, recorded, acknowledged + unanswered)"
