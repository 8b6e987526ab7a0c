"""Each lab's experiment, in a short version, against the real servers; its checks take what it found."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from loadtests.labs import broken, freshness, hot_path, lies, one_request, own, pool, race
from loadtests.labs.__main__ import LABS
from loadtests.labs.lab import Lab
from loadtests.stack import Stack
from tests.labs.benches import SharedBench


def right_and_wrong(lab: Lab, measured: Any) -> None:
    """Each check takes its own truth, and not what is far from it."""
    for question in (lab.predict, *lab.checks):
        truth = question.truth(measured)
        assert question.is_right(truth, measured)
        away = abs(truth) + question.least + 1
        assert not question.is_right(truth + away, measured)
        assert not question.is_right(truth - away, measured)
    console = Console(file=StringIO(), width=100)
    lab.show(console, measured)
    assert lab.explain(measured)
    assert lab.solution(measured) or lab.task


def test_lab_1_on_real_twins(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_request, "TRACES", 1)
    found = one_request.measure(SharedBench(tmp_path, stack), 0.0)
    right_and_wrong(LABS[1], found)
    assert one_request.round_trips(found) == 4
    assert found["far"]["naive_sync"] > 4 * one_request.FARTHER
    assert not [
        step for step in found["near"]["async_dedup"]["steps"] if step["who"] == "MySQL" and step["at"] < 1
    ]


def test_lab_2_on_the_real_twin(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race, "SECONDS", 1.0)
    found = race.measure(SharedBench(tmp_path, stack), 16)
    assert found["end"] == found["start"] + 1
    assert found["recorded"] < found["acknowledged"]
    right_and_wrong(LABS[2], found)


def test_lab_3_on_the_real_twin(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "SECONDS", 1.0)
    monkeypatch.setattr(pool, "SIZES", (1, 4, 16, 32))
    found = pool.measure(SharedBench(tmp_path, stack), 20.0)
    assert [point["size"] for point in found] == [1, 4, 16, 32]
    assert all(point["rate"] > 0 for point in found)
    assert pool.of(1, found)["rate"] < pool.by_little(4, found)
    right_and_wrong(LABS[3], found)


def test_lab_5_on_the_real_twin(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lies, "SECONDS", 6.0)
    found = lies.measure(SharedBench(tmp_path, stack), 2.0)
    right_and_wrong(LABS[5], found)
    assert lies.sent_in_the_freeze(found) < lies.due_in_the_freeze(found) / 2
    assert lies.p99(found["open"]["took"]) > 1_000
    assert lies.averaged(found["open"]) < lies.p99(found["open"]["took"])


def test_a_straight_line_within_a_bucket_is_not_what_was_measured() -> None:
    assert lies.by_buckets([5.0] * 99 + [150.0] * 2) == pytest.approx(100 + 900 * (0.99 * 101 - 99) / 2)
    assert lies.by_buckets([20_000.0] * 10) == lies.BUCKETS[-1]


def test_lab_4_on_real_twins(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hot_path, "SECONDS", 1.0)
    found = hot_path.measure(SharedBench(tmp_path, stack), 100.0)
    right_and_wrong(LABS[4], found)
    assert found["far"]["naive_sync"]["waited"] > 300
    assert found["far"]["async_dedup"]["waited"] < found["far"]["naive_sync"]["waited"] / 2
    assert all(
        points["async_dedup"]["recorded"] == points["async_dedup"]["acknowledged"]
        for points in (found["near"], found["far"])
    )


def test_lab_6_on_the_real_twin(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshness, "INTERVALS", 2)
    found = freshness.measure(SharedBench(tmp_path, stack), stack.settings.flush_interval)
    right_and_wrong(LABS[6], found)
    assert 0 < freshness.mean_age(found) < 2 * found["interval"]
    assert found["wait"] < 1_000 * found["interval"]


@pytest.mark.parametrize(("number", "state"), [(1, "direct"), (4, "redis")])
def test_lab_7_on_real_twins(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, state: str
) -> None:
    monkeypatch.setattr(broken, "SECONDS", 4.0)
    monkeypatch.setattr(broken, "BEFORE", 1.0)
    monkeypatch.setattr(broken, "AWAY", 1.5)
    found = broken.measure(SharedBench(tmp_path, stack), number)
    assert found["outcomes"]["async_dedup"]["state"] == state
    assert broken.lost(found) == 0
    assert (found["outcomes"]["naive_sync"]["failed"] > 0) is (found["part"] == "mysql")
    right_and_wrong(LABS[7], found)


def test_lab_10_on_real_twins(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own, "SECONDS", 1.0)
    found = own.measure(SharedBench(tmp_path, stack), 8)
    assert own.times_as_fast(found) > 1
    right_and_wrong(LABS[10], found)
