"""Each rule provoked."""

import os
import subprocess
import sys
from contextlib import ExitStack

import pytest

from loadtests.analysis.results import Machine, Reconciliation
from loadtests.load.measured import Generator
from loadtests.stack import Stack
from loadtests.trial.observation import Observation, cpu_seconds, machine_shares
from loadtests.trial.validity import level_reasons, trial_reasons
from tests.parts import wait_until

QUIET = Machine(stolen_share=0.01, others_share=0.05, restarted=[])
GOOD = Generator(cpu_share=0.6, loop_lag_p99_ms=10.0, sent_share=None)


def counts(lost: int = 0, extra: int = 0) -> Reconciliation:
    return {"acknowledged": 100, "unanswered": 0, "recorded": 100, "lost": lost, "extra": extra}


def test_a_good_level_and_a_good_trial_have_no_reasons() -> None:
    assert level_reasons({"generator": GOOD, "acknowledged": 100}) == []
    assert level_reasons({"generator": GOOD | {"sent_share": 0.995}, "acknowledged": 100}) == []
    assert trial_reasons("async_dedup", counts(), QUIET) == []


@pytest.mark.parametrize(
    ("generator", "acknowledged", "reason"),
    [
        (GOOD | {"cpu_share": 0.91}, 100, "the generator used 91% of its core"),
        (GOOD | {"loop_lag_p99_ms": 51.0}, 100, "the generator's loop lagged by 51 ms (p99)"),
        (GOOD | {"sent_share": 0.98}, 100, "the generator sent only 98.0% of what was due in time"),
        (GOOD | {"cpu_share": None}, 100, "the generator was not observed"),
        (GOOD, 0, "no request succeeded"),
    ],
)
def test_reasons_of_a_level(generator: Generator, acknowledged: int, reason: str) -> None:
    assert level_reasons({"generator": generator, "acknowledged": acknowledged}) == [reason]


@pytest.mark.parametrize(
    ("machine", "lost", "extra", "reason"),
    [
        (QUIET | {"stolen_share": 0.06}, 0, 0, "6% of the CPU time was stolen by other machines"),
        (QUIET | {"others_share": 0.3}, 0, 0, "30% of the CPU time went to other work on this machine"),
        (QUIET | {"throttled_share": 0.53}, 0, 0, "a CPU quota stopped it in 53% of its periods"),
        (QUIET | {"restarted": ["worker"]}, 0, 0, "died or restarted: worker"),
        (QUIET, 2, 0, "counts do not reconcile: 2 lost, 0 extra"),
        (QUIET, 0, 3, "counts do not reconcile: 0 lost, 3 extra"),
    ],
)
def test_reasons_of_a_trial(machine: Machine, lost: int, extra: int, reason: str) -> None:
    assert trial_reasons("async_dedup", counts(lost, extra), machine) == [reason]


def test_who_promises_nothing_may_lose() -> None:
    assert trial_reasons("naive_sync", counts(lost=5), QUIET) == []
    assert trial_reasons("other", counts(lost=5), QUIET) == []


def test_stolen_time_and_other_work_are_shares_of_all_of_it() -> None:
    before = {"user": 10.0, "idle": 10.0, "iowait": 0.0, "steal": 1.0, "guest": 4.0}
    after = {"user": 15.0, "idle": 13.0, "iowait": 1.0, "steal": 2.0, "guest": 9.0}
    assert machine_shares(before, after, ours=3.0) == (0.1, 0.2)


def test_work_of_a_stranger_is_seen_and_makes_a_trial_invalid(stack: Stack) -> None:
    """A real one, on a quarter of the cores at least."""
    with ExitStack() as stop:
        observed = Observation(stack, {})
        for _ in range((os.cpu_count() or 1) // 4 + 1):
            busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            stop.callback(busy.wait)
            stop.callback(busy.kill)
        wait_until(lambda: cpu_seconds(busy.pid) > 0.5)
        observed.end()
    (reason,) = trial_reasons("async_dedup", counts(), observed.machine | {"stolen_share": 0.0})
    assert "of the CPU time went to other work on this machine" in reason


def test_systems_that_know_less_are_fine() -> None:
    assert machine_shares({"user": 1.0, "idle": 1.0}, {"user": 2.0, "idle": 2.0}, ours=1.5) == (0.0, 0.0)
