"""The limits: each is measured on a real stack and checked, and shown beside its target."""

import pytest

from loadtests.load.profiles import PROFILES
from loadtests.stack import Stack
from loadtests.studies.limits import page, pipeline, saturated, start
from loadtests.trial.generator import TrialFailed
from tests.samples import level, trial
from tests.studies.shared import Shared, measured


@pytest.fixture
def setup(stack: Stack) -> Shared:
    return Shared(stack, pairs=1)


def test_flush_and_digest_are_measured(setup: Shared) -> None:
    small, large = pipeline.flushes(setup, {50: 1, 2_500: 1})
    assert (small["fingerprints"], large["fingerprints"]) == (50, 2_500)
    assert all(each["new"] > 0 and each["existing"] > 0 for each in (small, large))
    (rate,) = pipeline.digests(setup, size=600, times=1)
    assert rate > 0


def test_what_does_not_arrive_is_no_rate(setup: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "flush", lambda *_: None)
    monkeypatch.setattr(pipeline, "digest_all", lambda *_: None)
    with pytest.raises(TrialFailed, match=r"^0 rows with 0 events are in MySQL instead of 10 with 20$"):
        pipeline.flushes(setup, {10: 1})
    with pytest.raises(TrialFailed, match=r"instead of 10 with 10$"):
        pipeline.digests(setup, size=10, times=1)


def test_a_pending_fingerprint_takes_more_memory_than_its_32_bytes(setup: Shared) -> None:
    found = pipeline.memory(setup, size=5_000)
    assert 32 < found < 500


def test_every_start_is_timed(setup: Shared) -> None:
    assert all(seconds > 0 for seconds in start.starts(setup, times=1))


def test_a_saturation_is_a_floor_and_a_trial_of_each_pair(
    setup: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PROFILES, "saturated", PROFILES["saturated"].with_level_seconds([1]))
    found = saturated.saturation(setup)
    (floor,), (one,) = found["floor"], found["trials"]
    assert (floor["name"], one["levels"][0]["name"]) == ("50 users", "50 users")
    assert one["reconcile"]["lost"] == one["reconcile"]["extra"] == 0
    # By Little's law so many wait for an answer: nearly all of 50 who do not think; of those who do, 1.
    levels = (floor, one["levels"][0])
    assert max(each["achieved_rps"] * (each["latency_ms"]["p50"] or 0) / 1000 for each in levels) > 25
    assert PROFILES["saturated"].think_seconds == 0


def test_each_limit_is_met_or_missed() -> None:
    text = page.render(
        {"digest": measured([9_000.0, 12_000.0, 11_000.0]), "start": measured([1.2, 1.6, 1.7])}
    )
    assert "| digest of first events | at least 10,000/s | 11,000/s | 9,000/s | 12,000/s | 3 | met |" in text
    assert (
        "| start of the API until ready | at most 1.5 s | 1.60 s | 1.20 s | 1.70 s | 3 | **missed** |" in text
    )
    assert "1 of 2 targets are met. Missed: start of the API until ready." in text


def test_the_ratio_is_taken_pair_by_pair() -> None:
    trials = [trial(pair, "async_dedup", p95=5.0, profile="saturation") for pair in (1, 2, 3)]
    floors = [level(50, 1.0, profile="saturation") for _ in trials]
    for floor, one, rate in zip(floors, trials, (100.0, 90.0, 80.0), strict=True):
        floor["achieved_rps"], one["levels"][0]["achieved_rps"] = 100.0, rate
    values = {"floor": floors, "trials": trials}
    text = page.render({"saturation": measured(values)})
    assert "handler that does nothing | at least 0.8 | 0.900 | 0.800 | 1.00 | 3 | met |" in text
    assert "| CPU of all server processes per event | at most 0.2 ms | 3.50 ms |" in text
    trials[0]["valid"], trials[0]["invalid_reasons"] = False, ["stolen"]
    text = page.render({"saturation": measured(values)})
    assert "handler that does nothing | at least 0.8 | 0.850 | 0.800 | 0.900 | 2 | met |" in text
    assert "| saturation | 1 | stolen |" in text


def test_a_flush_is_linear_where_the_largest_keeps_the_rate_of_the_smallest() -> None:
    flushes = [
        {"fingerprints": size, "new": 40_000.0, "existing": rate}
        for size, rate in ((10_000, 30_000.0), (10_000, 26_000.0), (1_000_000, 21_000.0))
    ]
    text = page.render({"flush": measured(flushes)})
    assert "| flush of 10,000 fingerprints, existing rows | at least 20,000/s | 28,000/s |" in text
    assert "| rate at 1,000,000 / rate at 10,000, existing rows | at least 0.8 | 0.750 |" in text
    assert "rate at 10,000, new rows | at least 0.8 | 1.00 | 1.00 | 1.00 | 1 | met |" in text


def test_with_nothing_valid_a_limit_is_neither_met_nor_missed() -> None:
    one = trial(1, "async_dedup", p95=5.0, profile="minute")
    one["valid"], one["invalid_reasons"] = False, ["stolen"]
    text = page.render({"minute": measured([one])})
    assert "| drain after a minute of saturation | at most 7 s | - |  |  | 0 |  |" in text
    assert "0 of 0 targets are met." in text
