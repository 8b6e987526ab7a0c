"""How long until an event is in MySQL: a few events of its own, followed from sending to row to count."""

import http.client
import threading
from collections import Counter
from time import perf_counter, sleep
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from loadtests.load import workload
from loadtests.load.client import IS_FOLDED, TIMEOUT
from loadtests.load.outcomes import FOLDED, MAYBE_RECORDED
from loadtests.trial.reconcile import connect
from loadtests.trial.statements import own_statements
from shared.event import PATH
from shared.fingerprint import fingerprint
from shared.quota import overflow
from shared.settings import Settings

EVERY = 0.5
"""Seconds between two events."""
LOOK_EVERY = 0.05
"""Seconds between two looks at MySQL; so much the figures are too high at most."""
SEEN = "SELECT fingerprint, message <> '', times_seen > 0 FROM issues WHERE fingerprint IN ({})"


class Prober:
    """A thread that probes until `stop_sending` or the end of the `with` block.

    What it sent is followed to its count, `patience` seconds long at most.

    Its events are in `acknowledged` and `unanswered`, by fingerprint, to be reconciled with the others.
    In the end `statements` is how many it asked MySQL to run.
    """

    def __init__(self, base_url: str, settings: Settings, seed: int, patience: float) -> None:
        self.acknowledged: Counter[str] = Counter()
        self.unanswered: Counter[str] = Counter()
        self.row_ms: list[float] = []
        self.count_ms: list[float] = []
        self.statements = 0
        self._url = urlsplit(base_url)
        self._settings = settings
        self._patience = patience
        self._events = (e for e in workload.events(seed, "prober") if e not in workload.pool(seed))
        self._without_row: dict[str, float] = {}
        self._without_count: dict[str, float] = {}
        self._ended, self._has_sent = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._mysql = connect(self._settings)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._patience = 0
        self.stop_sending()
        self._thread.join()

    def stop_sending(self) -> None:
        """What it has on its way is answered when this returns, or given up on."""
        self._ended.set()
        self._has_sent.wait()

    def _run(self) -> None:
        with self._mysql:
            try:
                self._probe()
            finally:
                self._has_sent.set()
            deadline = perf_counter() + self._patience
            while self._without_count and perf_counter() < deadline:
                sleep(LOOK_EVERY)
                self._look()
            self.statements = own_statements(self._mysql)

    def _probe(self) -> None:
        next_event = perf_counter()
        while not self._ended.wait(LOOK_EVERY):
            if perf_counter() >= next_event:
                next_event = perf_counter() + EVERY
                self._send(next(self._events))
            self._look()

    def _send(self, event: workload.Event) -> None:
        key, sent = fingerprint(event.message), perf_counter()
        outcome = self._post(event.body)
        if outcome == FOLDED:  # it has no row of its own to wait for
            self.acknowledged[overflow(event.service).fingerprint] += 1
        elif outcome[0] == "2":
            self.acknowledged[key] += 1
            self._without_row[key] = self._without_count[key] = sent
        elif outcome in MAYBE_RECORDED:
            self.unanswered[key] += 1

    def _post(self, body: bytes) -> str:
        connection = http.client.HTTPConnection(str(self._url.hostname), self._url.port, timeout=TIMEOUT)
        try:
            connection.request("POST", PATH, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return FOLDED if IS_FOLDED in answer.read() else str(answer.status)
        except (OSError, http.client.HTTPException):
            return "connection"
        finally:
            connection.close()

    def _look(self) -> None:
        missing = list(self._without_count)
        if not missing:
            return
        with self._mysql.cursor() as cursor:
            cursor.execute(SEEN.format(", ".join(["%s"] * len(missing))), missing)
            rows = cursor.fetchall()
        now = perf_counter()
        for key, has_row, is_counted in rows:
            if has_row and key in self._without_row:
                self.row_ms.append((now - self._without_row.pop(key)) * 1000)
            if is_counted:
                self.count_ms.append((now - self._without_count.pop(key)) * 1000)
