"""A stack that Prometheus has watched through a short real run of both twins, and questions to it."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from loadtests.analysis.results import Reconciliation, Turn
from loadtests.live.sampler import Sample
from loadtests.load.profiles import SMOKE, Profile
from loadtests.stack import Stack
from loadtests.stack.observers import RUN
from loadtests.trial.trial import run_other
from shared.settings import Settings
from tests import client

RUN_NAME = "20260101T000000Z-observed"
TWINS = ("naive_sync", "async_dedup")
WHOLE = f'loadtest_users == 0 and on () loadtest_audited_events{{twin="{TWINS[-1]}"}}'
"""At the end of the run. Asked as the tests ask, a point a second: one for this moment may be ahead of it."""
PATIENCE = 120.0


@dataclass(frozen=True)
class Observed:
    stack: Stack
    began: float
    """Unix time before the first request."""
    ended: float
    audits: dict[str, Reconciliation]
    """What the bench itself knows."""

    def get(self, path: str, **parameters: object) -> Any:
        """Return the data of Prometheus' answer; fails where it calls the question wrong."""
        url = f"{self.stack.base_url('prometheus')}/api/v1/{path}?{urlencode(parameters)}"
        with urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def range(self, query: str) -> list[dict[str, Any]]:
        """Return every series of the run, a point a second."""
        found = self.get("query_range", query=query, start=self.began, end=self.ended, step=1)
        return list(found["result"])

    def largest(self, query: str) -> float:
        """Return the largest value that any series of `query` had in the run."""
        return max(float(value) for series in self.range(query) for _, value in series["values"])


def seen(live: str) -> list[Sample]:
    """Return the samples that the live page at this address has."""
    with urlopen(f"{live}/events", timeout=10) as stream:
        data = next(line for line in stream if line.startswith(b"data: "))
    return list(json.loads(data.removeprefix(b"data: ")))


@contextmanager
def observe(run_dir: Path, settings: Settings, profile: Profile = SMOKE) -> Iterator[Observed]:
    with Stack(run_dir, settings) as stack:
        stack.start("mysql", "redis")
        os.environ[RUN] = RUN_NAME
        try:
            stack.start_observers()
        finally:
            del os.environ[RUN]
        began, audits = time.time(), {}
        for order, twin in enumerate(TWINS, 1):
            stack.start_twin(twin)
            turn = Turn(profile.name, 1, order, twin)  # as one that is not the stack's: it is not stopped
            audits[twin] = run_other(stack, turn, stack.base_url(twin), lambda _: None)["reconcile"]
        looks: list[Observed] = []

        def all_is_scraped() -> bool:
            looks.append(Observed(stack, began, time.time(), audits))
            return bool(looks[-1].range(WHOLE))

        client.eventually(all_is_scraped, "the last sample and the last audit are scraped", PATIENCE)
        yield looks[-1]
