"""What the audit of each trial found, for who watches the run.

The bench tells it in the file in which Locust tells its progress: they read that anyway, and while load runs
nobody asks MySQL for it.
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from loadtests.analysis.results import Reconciliation, Trial
from loadtests.stack.scrape import fetch

FOUND = ("acknowledged", "recorded", "lost", "extra")
TWIN = "audited"
PATIENCE = 10.0
"""Seconds that Prometheus has for the last one: it scrapes once a second, at the lowest priority."""


def tell(progress: Path, twin: str, counts: Reconciliation) -> None:
    with progress.open("a") as file:
        file.write(json.dumps(_line(twin, counts)) + "\n")


def wait_until_kept(prometheus: str, trials: Sequence[Trial]) -> None:
    """Return when Prometheus at "host:port" has what was told of `trials`, or after `PATIENCE`."""
    audits = Audits()
    audits.take([_line(trial["twin"], trial["reconcile"]) for trial in trials])
    told = sum(sum(found.values()) for found in audits.sums.values())
    # Prometheus still answers with twins that only an earlier run had.
    twins = "|".join(audits.sums)
    query = urlencode({"query": f'sum(loadtest_audited_events{{twin=~"{twins}"}})'})
    deadline = time.monotonic() + PATIENCE
    while _kept(prometheus, query) != told and time.monotonic() < deadline:
        time.sleep(0.2)


def _line(twin: str, counts: Reconciliation) -> dict[str, Any]:
    return {TWIN: twin, **counts}


def _kept(prometheus: str, query: str) -> float | None:
    answer = fetch(prometheus, timeout=1, path=f"/api/v1/query?{query}")
    series = json.loads(answer)["data"]["result"] if answer else []
    return float(series[0]["value"][1]) if series else None


class Audits:
    """Their sums over the run so far, by twin."""

    def __init__(self) -> None:
        self.sums: dict[str, dict[str, int]] = {}

    def take(self, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Add the audits among `lines`, and return Locust's own lines."""
        for line in lines:
            if TWIN in line:
                before = self.sums.get(line[TWIN], {})
                self.sums[line[TWIN]] = {name: before.get(name, 0) + line[name] for name in FOUND}
        return [line for line in lines if TWIN not in line]
