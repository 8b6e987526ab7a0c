"""The limits: each is measured on a real stack and checked, and shown beside its target."""

from itertools import islice

import pytest

from async_dedup.buffer import Buffer
from async_dedup.keys import BUFFER, FIRST_EVENTS
from loadtests.load.profiles import PROFILES
from loadtests.load.workload import events
from loadtests.stack import Stack
from loadtests.studies.limits import bound, lone, page, pipeline, saturated, start
from loadtests.studies.study import emptied
from loadtests.trial import plan
from loadtests.trial.generator import TrialFailed
from loadtests.trial.reconcile import Table, connect
from shared.event import parse
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


def test_rows_are_counted_by_mysql_while_a_minute_is_measured(
    setup: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PROFILES, "minute", PROFILES["minute"].with_level_seconds([1]))
    found = saturated.minute(setup)
    assert found["trial"]["reconcile"]["lost"] == found["trial"]["reconcile"]["extra"] == 0
    assert found["rows_written"] >= 1


def test_each_part_of_the_bound_takes_time(setup: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROFILES, "saturated", PROFILES["saturated"].with_level_seconds([1]))
    (found,) = bound.bounds(setup, size=10_000, times=1)
    assert min(found.values()) > 0


def test_the_bound_is_of_work_that_was_done(setup: Shared) -> None:
    sent = [parse(each.body) for each in islice(events(1, 0), 3_000)]
    with setup.stack() as stack:
        emptied(stack).dispose()
        bound._count(stack, sent, 50)
        bound._insert(stack, sent)
        buffer = Buffer(stack.settings)
        assert sum(map(int, buffer.redis.hvals(BUFFER))) == len(sent)
        with connect(stack.settings) as mysql:
            kept = Table(mysql).counts()
        assert set(kept) == {event.fingerprint for event in sent}
        assert buffer.redis.xlen(FIRST_EVENTS) == len(kept)
        stack.reset()


def test_a_lone_request_is_measured_step_by_step(
    setup: Shared, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PROFILES, "few", PROFILES["few"].with_level_seconds([2]))
    monkeypatch.setattr(plan, "FLOOR_SECONDS", 2.0)
    (found,) = lone.lone(setup, calls=20, times=1)
    assert all((found[step]["p50"] or 0) > 0 for step in ("ping", "counted", "kept"))
    assert found["floor"]["users"] == found["trial"]["levels"][0]["users"] == lone.USERS
    assert Buffer(stack.settings).redis.config_get("appendfsync") == {"appendfsync": "always"}


def test_each_limit_is_met_or_missed() -> None:
    text = page.render(
        {"digest": measured([9_000.0, 12_000.0, 11_000.0]), "start": measured([1.2, 1.6, 1.7])}
    )
    assert "| digest of first events | at least 10,000/s | 11,000/s | 9,000/s | 12,000/s | 3 | met |" in text
    assert (
        "| start of the API until ready | at most 1.5 s | 1.60 s | 1.20 s | 1.70 s | 3 | **missed** |" in text
    )
    assert "1 of 2 targets are met. Missed: start of the API until ready." in text


def test_an_invalid_trial_enters_no_figure() -> None:
    trials = [trial(pair, "async_dedup", p95=5.0, profile="saturation") for pair in (1, 2, 3)]
    floors = [level(50, 1.0, profile="saturation") for _ in trials]
    for one, rate in zip(trials, (100.0, 90.0, 80.0), strict=True):
        one["levels"][0]["achieved_rps"] = rate
    values = {"floor": floors, "trials": trials}
    text = page.render({"saturation": measured(values)})
    assert "| saturated rate | at least 4,500/s | 90.00/s | 80.00/s | 100/s | 3 | **missed** |" in text
    assert "| CPU of all server processes per event | at most 0.065 ms | 3.50 ms |" in text
    trials[0]["valid"], trials[0]["invalid_reasons"] = False, ["stolen"]
    text = page.render({"saturation": measured(values)})
    assert "| saturated rate | at least 4,500/s | 85.00/s | 80.00/s | 90.00/s | 2 | **missed** |" in text
    assert "| saturation | 1 | stolen |" in text


def test_the_bound_is_the_sum_of_what_can_not_be_left_out() -> None:
    one = trial(1, "async_dedup", p95=5.0, profile="saturation")
    events = one["reconcile"]["acknowledged"]
    spent = {"app": 40e-6, "redis": 20e-6, "mysql": 10e-6, "worker": 9e-6, "scheduler": 1e-6}
    one["cpu_seconds"] = {name: each * events for name, each in spent.items()} | {"generator": 1.0}
    raw = {
        "saturation": measured({"floor": [level(50, 1.0)], "trials": [one]}),
        "bound": measured([{"app": app, "redis": 8e-6, "mysql": 4e-6} for app in (30e-6, 20e-6, 18e-6)]),
    }
    text = page.render(raw)
    assert "| app | read, parse and answer a request | 20.0 | 40.0 |" in text
    assert "| worker |  | 0.0 | 9.0 |" in text
    assert "the bound is 32.0 us in all" in text
    assert "/ the bound | at most 1.5 | 2.50 | 2.50 | 2.50 | 1 | **missed** |" in text


def test_the_steps_of_a_lone_request_add_up() -> None:
    one = trial(1, "async_dedup", p95=5.0, profile="few")
    steps = {"ping": {"p50": 0.2}, "counted": {"p50": 0.35}, "kept": {"p50": 0.75}}
    text = page.render({"lone": measured([{"floor": level(10, 1.0), **steps, "trial": one}])})
    shown = [line.split(" | ")[-1].strip(" |") for line in text.splitlines() if " | " in line]
    start = shown.index("p50, ms")
    *parts, total = map(float, shown[start + 2 : start + 8])
    assert total == 2.0  # the samples' p50 is 0.4 of p95
    assert parts == pytest.approx([0.4, 0.2, 0.15, 0.4, 0.85])


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
    text = page.render({"minute": measured({"trial": one, "rows_written": 1.0})})
    assert "| drain after a minute of saturation | at most 7 s | - |  |  | 0 |  |" in text
    assert "0 of 0 targets are met." in text
