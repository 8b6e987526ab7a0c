"""That what the audits found reaches those who watch the run."""

import json
import time
from collections.abc import Sequence
from urllib.parse import urlencode

from loadtests.analysis.results import Trial
from loadtests.load.progress import Told, audit_line
from loadtests.stack.scrape import fetch

PATIENCE = 30.0
"""Seconds that Prometheus has for the last one: it scrapes once a second, at the lowest priority."""


def wait_until_kept(prometheus: str, trials: Sequence[Trial]) -> None:
    """Return when Prometheus at "host:port" has what was told of `trials`, or after `PATIENCE`."""
    kept = Told()
    kept.take([audit_line(trial["twin"], trial["reconcile"]) for trial in trials])
    told = sum(sum(found.values()) for found in kept.audits.values())
    # Prometheus still answers with twins that only an earlier run had.
    twins = "|".join(kept.audits)
    query = urlencode({"query": f'sum(loadtest_audited_events{{twin=~"{twins}"}})'})
    deadline = time.monotonic() + PATIENCE
    while _kept(prometheus, query) != told and time.monotonic() < deadline:
        time.sleep(0.2)


def _kept(prometheus: str, query: str) -> float | None:
    answer = fetch(prometheus, timeout=1, path=f"/api/v1/query?{query}")
    series = json.loads(answer)["data"]["result"] if answer else []
    return float(series[0]["value"][1]) if series else None
