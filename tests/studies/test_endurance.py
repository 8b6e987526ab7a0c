"""Short versions of what `make endurance` does, against the real servers; and the page."""

from typing import Any

import pytest

from loadtests.stack import Stack
from loadtests.studies.endurance import outage, page
from loadtests.studies.endurance.outage import Outage, outlast
from loadtests.studies.endurance.soak import soak
from tests.studies.shared import Shared, measured

SHORT = Outage("a few events", rate=300, seconds=3, trace_bytes=200)


def test_everything_is_in_mysql_after_an_outage(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(outage.OUTAGES, "outage", SHORT)
    monkeypatch.setattr(outage, "PROBE_SECONDS", 1.0)
    found = outlast(Shared(stack, run_dir=stack.run_dir), "outage")
    assert (found["reconcile"]["lost"], found["reconcile"]["extra"]) == (0, 0)
    assert found["acknowledged"] > SHORT.rate
    assert found["memory"].keys() == {"async_dedup", "worker", "scheduler"}
    assert found["states"][0] == "redis"
    assert "0 lost" in page.render({"outage": measured(found)})


def test_nothing_is_lost_in_a_short_soak(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadtests.studies.endurance.soak.EVERY", 2.0)
    found = soak(Shared(stack), seconds=6)
    assert (found["lost"], found["doubled"], found["wrong"]) == (0, 0, 0)
    assert sum(found["faults"].values()) == len(found["held"]) - 1 >= 1
    assert "minutes, " in page.render({"soak": measured(found)})


def outcome(**others: Any) -> dict[str, Any]:
    counts = {"acknowledged": 10, "unanswered": 0, "recorded": 10, "lost": 0, "extra": 0}
    return {
        **{"about": "many", "acknowledged": 1_000, "unanswered": 5, "states": ["redis", "spool"]},
        **{"memory": dict.fromkeys(("async_dedup", "worker", "scheduler"), 2**20)},
        **{"redis_bytes": 2**20, "spool_bytes": 0, "drain_seconds": 10.0, "p95_before": 1.5},
        **{"p95_after": [3.0, 1.5], "reconcile": counts},
        **others,
    }


def test_a_bound_that_is_not_kept_is_told() -> None:
    assert "| redis | 1 | 1,100 | yes |" in page.render({"outage": measured(outcome())})
    much = page.render({"outage": measured(outcome(redis_bytes=2_000 * 2**20))})
    assert "| redis | 2,000 | 1,100 | **no** |" in much
