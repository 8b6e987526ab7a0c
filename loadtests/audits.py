"""What the audit of each trial found, for who watches the run.

The bench tells it in the file in which Locust tells its progress: they read that anyway, and while load runs
nobody asks MySQL for it.
"""

import json
from pathlib import Path
from typing import Any

from loadtests.results import Reconciliation

FOUND = ("acknowledged", "recorded", "lost", "extra")
SEEN_WITHIN = 3.0
"""Seconds until who watches has seen it: more than a scrape, and than a sample of the live page."""
TWIN = "audited"


def tell(progress: Path, twin: str, counts: Reconciliation) -> None:
    with progress.open("a") as file:
        file.write(json.dumps({TWIN: twin} | counts) + "\n")


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
