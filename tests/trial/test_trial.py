"""Trials of real twins that something happens to: what is seen of it, and what makes them invalid."""

import os
import signal
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from loadtests import bench
from loadtests.analysis.results import Trial, Turn
from loadtests.load.profiles import PROFILES, SMOKE, at_rate
from loadtests.load.progress import Progress, Show
from loadtests.stack import Stack
from loadtests.trial import driver, knee
from loadtests.trial.driver import Driver
from loadtests.trial.reconcile import Table, connect, rest
from loadtests.trial.trial import run_trial
from shared.quota import overflow
from tests.parts import alone
from tests.samples import results

NAIVE, ASYNC = (Turn("smoke", 1, 1, twin) for twin in ("naive_sync", "async_dedup"))


@pytest.fixture(autouse=True)
def _alone(stack: Stack) -> Iterator[None]:
    with alone(stack):
        yield


def once(action: Callable[[], bool | None]) -> Show:
    """Do it while the load runs; again where it returns False."""
    done = False

    def show(_: Progress) -> None:
        nonlocal done
        done = done or action() is not False

    return show


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROFILES, SMOKE.name, SMOKE.with_level_seconds([1]))


def measured(stack: Stack, turn: Turn, action: Callable[[], bool | None]) -> Trial:
    return run_trial(stack, turn, seed=1, show=once(action))


@pytest.mark.usefixtures("_short")
def test_processes_that_died_or_were_started_again_make_a_trial_invalid(stack: Stack) -> None:
    def crash() -> None:
        stack.kill("worker")
        stack.kill("scheduler")
        stack.start("scheduler")

    found = measured(stack, ASYNC, crash)
    assert "died or restarted: worker, scheduler" in found["invalid_reasons"]
    assert found["reconcile"]["lost"] == found["reconcile"]["extra"] == 0
    assert "worker" not in found["memory_mb"]
    assert found["cpu_seconds"]["worker"] == 0


@pytest.mark.usefixtures("_short")
def test_a_twin_that_is_gone_is_measured_to_the_end(stack: Stack) -> None:
    found = measured(stack, NAIVE, lambda: stack.kill("naive_sync"))
    assert "died or restarted: app" in found["invalid_reasons"]
    assert found["failed"]["connection"] > 0
    assert found["mean_ms"] == {}


def test_counts_that_are_wrong_are_found(stack: Stack) -> None:
    """Also where those that are missing and those that are too many make up for each other."""

    def tamper() -> bool:
        with connect(stack.settings) as mysql, mysql.cursor() as cursor:
            cursor.execute("SELECT id FROM issues WHERE times_seen > 0 LIMIT 2")
            seen = [row_id for (row_id,) in cursor.fetchall()]
            for change, row_id in zip((-1, 1), seen, strict=False):
                cursor.execute(
                    "UPDATE issues SET times_seen = times_seen + %s WHERE id = %s", (change, row_id)
                )
            return len(seen) == 2

    found = measured(stack, ASYNC, tamper)
    assert "counts do not reconcile: 1 lost, 1 extra" in found["invalid_reasons"]
    assert bench.status(results([found])) == bench.FAILED


@pytest.fixture
def _budget(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "settings", stack.settings.model_copy(update={"new_issues": 20}))


@pytest.mark.usefixtures("_short", "_budget")
def test_folded_events_are_expected_where_they_count(stack: Stack) -> None:
    found = measured(stack, ASYNC, lambda: None)
    with connect(stack.settings) as mysql:
        counts = Table(mysql).counts()
    assert (found["reconcile"]["lost"], found["reconcile"]["extra"]) == (0, 0)
    assert (len(counts), counts[overflow("default").fingerprint] > 0) == (21, True)


@pytest.mark.usefixtures("_short", "_budget")
def test_an_event_that_is_on_the_overflow_issue_and_should_not_is_found(stack: Stack) -> None:
    folded = overflow("default").fingerprint

    def tamper() -> bool:
        with connect(stack.settings) as mysql, mysql.cursor() as cursor:
            cursor.execute("UPDATE issues SET times_seen = times_seen + 1 WHERE fingerprint = %s", [folded])
            one_other = "WHERE times_seen > 0 AND fingerprint <> %s LIMIT 1"
            return bool(
                cursor.rowcount
                and cursor.execute(f"UPDATE issues SET times_seen = times_seen - 1 {one_other}", [folded])
            )

    found = measured(stack, ASYNC, tamper)
    assert "counts do not reconcile: 1 lost, 1 extra" in found["invalid_reasons"]


def starve() -> bool:
    """Hold the generator up for a moment, again and again."""
    for child in psutil.Process().children():
        if any("locustfile" in word for word in child.cmdline()):
            os.kill(child.pid, signal.SIGSTOP)
            time.sleep(0.2)
            os.kill(child.pid, signal.SIGCONT)
    return False


@pytest.fixture
def floor(stack: Stack) -> Iterator[str]:
    stack.start_twin("floor")
    yield stack.base_url("floor")
    stack.stop_twin("floor")


def test_a_starved_generator_makes_a_level_invalid(stack: Stack, floor: str) -> None:
    starved = Driver(stack, floor, seed=1, show=once(starve))
    starved.run(PROFILES["smoke"])
    assert [level["valid"] for level in starved.levels] == [False, False]
    assert all("loop lagged" in level["invalid_reasons"][0] for level in starved.levels)


def test_so_does_one_that_does_not_reach_its_rate(stack: Stack, floor: str) -> None:
    starved = Driver(stack, floor, seed=1, show=once(starve))
    starved.run(at_rate(200, 2))
    (level,) = starved.levels
    assert any("of what was due in time" in reason for reason in level["invalid_reasons"])


def test_after_a_spike_its_users_are_gone_at_once(stack: Stack, floor: str) -> None:
    spike = Driver(stack, floor, seed=1, show=lambda _: None)
    spike.run(PROFILES["spike"].with_level_seconds([2, 2, 3]))
    assert spike.timeline
    first, then, _ = spike.timeline["acknowledged"][-3:]
    assert max(spike.timeline["acknowledged"]) > 500
    # 10 users who think 100 ms; the thousand before them send 100 in 10 ms.
    assert first < 150
    assert 0 < then < 150


def test_the_steps_of_a_knee_are_levels_with_events_of_their_own(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "step_seconds", lambda _: 1.0)
    monkeypatch.setattr(knee, "generator_reasons", lambda _: [])  # other tests may run beside this one
    monkeypatch.setattr(knee, "why_too_much", lambda _: None)
    stack.start_twin("async_dedup")
    steps = Driver(stack, stack.base_url("async_dedup"), seed=1, show=lambda _: None)
    with connect(stack.settings) as mysql:
        table = Table(mysql)
        steps.follow(knee.climb(rates=(50.0, 100.0)), table, 20.0)
        rest(table, steps.acknowledged.total(), limit=20)
        assert table.counts() == steps.acknowledged
    assert steps.knee == {"rps": 100.0, "limit": "100/s is the highest rate that is tried"}
    assert [level["name"] for level in steps.levels] == ["50/s", "100/s"]
    assert {level["profile"] for level in steps.levels} == {"knee"}
    # A unique message that a second step sends again would be seen twice.
    assert sum(seen == 1 for seen in steps.acknowledged.values()) > 0.2 * steps.acknowledged.total()
