"""The live page's arithmetic, and its samples of real twins: what they did lately and nothing else."""

import json
import os
from collections.abc import Iterator, Sequence
from math import inf
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.analysis.results import Reconciliation
from loadtests.live.charts import Now, failed, rates
from loadtests.live.client_view import OTHER, Generator, Load
from loadtests.live.counts import REQUEST_BUCKETS, REQUESTS, Counters, Growth, Window, ingest, parse, quantile
from loadtests.live.feed import KEPT, Feed
from loadtests.live.sampler import Sample, Sampler
from loadtests.load.progress import PROGRESS, SILENCE, audit_line, result_line, step_line, tell
from loadtests.stack import Stack
from shared.event import PATH
from shared.metrics import BUCKETS
from tests import client

OK = (REQUESTS, "200")
LINE = {
    "users": 20,
    "rate": 300,
    "p95_ms": 12.5,
    "failed": 0,
    "failed_by": {},
    "offered": None,
    "profile": "ramp",
    "level": "level 1 of 5",
    "target": "http://127.0.0.1:1",
}
FOUND: Reconciliation = {"acknowledged": 100, "unanswered": 3, "recorded": 95, "lost": 6, "extra": 1}
LOAD = Load("ramp", "level 1 of 5", "naive_sync", 20, None, 300.0, 12.5, {"500": 3.0, "timeout": 2.0})


# --- counters ---


def test_growth_is_that_of_the_last_two_intervals() -> None:
    window = Window()
    assert window.add(10.0, {OK: 100}) is None
    assert window.add(12.0, {OK: 110}) == Growth(2.0, {OK: 10})
    assert window.add(15.0, {OK: 140}) == Growth(5.0, {OK: 40})
    assert window.add(17.0, {OK: 140}) == Growth(5.0, {OK: 30})


def test_a_twin_that_starts_again_has_done_nothing_yet() -> None:
    window = Window()
    window.add(1.0, {OK: 100, (REQUESTS, "500"): 2})
    assert window.add(2.0, {OK: 120}) is None  # as many and more, but what it had refused is forgotten
    assert window.add(3.0, {OK: 121}) == Growth(1.0, {OK: 1})
    window.clear()
    assert window.add(4.0, {OK: 500}) is None


def test_what_is_counted_for_the_first_time_counts() -> None:
    window = Window()
    window.add(1.0, {})
    assert window.add(3.0, {(REQUESTS, "503"): 8}) == Growth(2.0, {(REQUESTS, "503"): 8})


def test_only_events_are_parsed() -> None:
    found = parse(
        f"""# HELP http_requests_total Answered requests.
# TYPE http_requests_total counter
http_requests_total{{method="POST",route="{PATH}",status_code="200"}} 5.0
http_requests_total{{method="PUT",route="{PATH}",status_code="405"}} 1.0
http_requests_total{{method="GET",route="{PATH}",status_code="405"}} 2.0
http_requests_total{{method="GET",route="/metrics",status_code="200"}} 70.0
http_request_duration_seconds_bucket{{le="0.5",method="POST",route="{PATH}",status_code="200"}} 4.0
http_request_duration_seconds_bucket{{le="+Inf",method="POST",route="{PATH}",status_code="200"}} 5.0
http_request_duration_seconds_bucket{{le="+Inf",method="POST",route="{PATH}",status_code="503"}} 9.0
queue_depth 3.0
queue_depths 4.0
ingest_state{{state="direct"}} 1.0
ingest_state{{state="redis"}} 0.0

"""
    )
    assert found.counters == {
        OK: 5,
        (REQUESTS, "405"): 3,
        (REQUEST_BUCKETS, "0.5"): 4,
        (REQUEST_BUCKETS, "+Inf"): 5,
    }
    assert found.gauges == {"queue_depth": 3, ingest("direct"): 1, ingest("redis"): 0}


def test_an_empty_scrape_is_a_twin_that_did_nothing() -> None:
    assert parse("") == ({}, {})
    grown = Growth(2.0, parse("").counters)
    assert grown.quantile(0.95, REQUEST_BUCKETS) is None
    assert grown.rates(REQUESTS) == {}
    assert rates(Now({"naive_sync": grown}, {}, None)) == {"naive_sync": 0}


# --- p95 ---


def cumulative(seconds: Sequence[float]) -> dict[float, float]:
    return {bound: sum(each <= bound for each in seconds) for bound in (*BUCKETS, inf)}


@given(st.lists(st.floats(0.001, 10), min_size=1, max_size=200))
def test_a_quantile_is_within_a_tenth(seconds: list[float]) -> None:
    found = quantile(0.95, cumulative(seconds))
    true = sorted(seconds)[-(-95 * len(seconds) // 100) - 1]
    assert found == pytest.approx(true, rel=0.1)


def test_what_no_bucket_holds_is_at_least_the_last_bound() -> None:
    assert quantile(0.95, cumulative([60.0])) == BUCKETS[-1]
    assert quantile(0.95, {}) is None
    assert quantile(0.95, cumulative([])) is None


# --- the generator's view ---


def test_the_load_is_that_of_the_last_lines_until_silence(tmp_path: Path) -> None:
    path, roles = tmp_path / "progress", {"127.0.0.1:1": "naive_sync"}
    generator = Generator(path)
    assert generator.look(0.0, roles) is None

    def write(**fields: Any) -> None:
        with path.open("a") as file:
            file.write(json.dumps(LINE | fields) + "\n")

    write(rate=100, failed_by={"500": 1})
    write(rate=200, failed_by={"500": 3})
    first = generator.look(1.0, roles)
    assert first == Load("ramp", "level 1 of 5", "naive_sync", 20, None, 150.0, 12.5, {})
    write(failed_by={"500": 4, "timeout": 6})
    last = generator.look(3.0, {})  # its target has just been stopped
    assert last is not None
    assert (last.subject, last.failed) == ("naive_sync", {"500": 0.5, "timeout": 3.0})
    assert generator.look(3.0 + SILENCE, {}) == last
    assert generator.look(3.1 + SILENCE, {}) is None
    write(target="http://example.org")
    again = generator.look(9.0, roles)
    assert again is not None
    assert (again.subject, again.failed) == (OTHER, {})


def test_what_the_audits_found_adds_up_and_is_no_load(tmp_path: Path) -> None:
    path = tmp_path / "progress"
    generator = Generator(path)
    path.write_text(json.dumps(LINE) + "\n")
    assert generator.look(0.0, {}) is not None
    assert generator.told.audits == {}
    for lost in (5, 2):
        tell(path, audit_line("naive_sync", FOUND | {"lost": lost}))
    tell(path, audit_line("async_dedup", FOUND))
    assert generator.look(SILENCE + 0.1, {}) is None, "the load has ended"
    assert generator.told.audits == {
        "naive_sync": {"acknowledged": 200, "recorded": 190, "lost": 7, "extra": 2},
        "async_dedup": {"acknowledged": 100, "recorded": 95, "lost": 6, "extra": 1},
    }


def test_what_the_bench_does_is_known_and_is_no_load(tmp_path: Path) -> None:
    path = tmp_path / "progress"
    generator = Generator(path)
    tell(path, step_line("ramp: pair 1 of 6, naive_sync"))
    assert generator.look(0.0, {}) is None
    assert (generator.told.step, generator.told.result) == ("ramp: pair 1 of 6, naive_sync", None)
    tell(path, result_line("No difference.", Path("/runs/1/report.html")))
    assert generator.look(1.0, {}) is None
    assert generator.told.result == {"result": "No difference.", "report": "/runs/1/report.html"}


def test_what_the_client_did_wrong_is_named_so() -> None:
    grown: Counters = {(REQUESTS, "400"): 4, (REQUESTS, "413"): 2, (REQUESTS, "503"): 6}
    found = failed(Now({"upsert": Growth(2.0, grown)}, {}, LOAD._replace(failed={"415": 1.0})))
    assert found == {
        "upsert refused 400": 2.0,
        "upsert refused 413": 1.0,
        "upsert 503": 3.0,
        "naive_sync refused 415": 1.0,
    }


def test_failures_are_counted_once() -> None:
    grown: Counters = {(REQUESTS, "200"): 90, (REQUESTS, "500"): 6, (REQUESTS, "503"): 0}
    twins = {"naive_sync": Growth(2.0, grown)}
    assert failed(Now(twins, {}, None)) == {"naive_sync 500": 3.0}
    assert failed(Now(twins, {}, LOAD)) == {"naive_sync 500": 3.0, "naive_sync timeout": 2.0}
    assert failed(Now({}, {}, LOAD)) == {"naive_sync 500": 3.0, "naive_sync timeout": 2.0}


def test_who_counts_nothing_has_the_rate_that_the_generator_saw() -> None:
    twins = {"naive_sync": Growth(2.0, {OK: 90.0})}
    assert rates(Now(twins, {}, LOAD)) == {"naive_sync": 45.0, "users": 20}
    floor = LOAD._replace(subject="floor", offered=400.0)
    assert rates(Now(twins, {}, floor)) == {"naive_sync": 45.0, "floor": 300.0, "offered": 400.0, "users": 20}


# --- readers ---


def sample(at: float) -> Sample:
    return {
        "at": at,
        "running": [],
        "load": None,
        "audits": {},
        "step": None,
        "result": None,
        "ingest": None,
        "charts": {},
    }


def test_a_reader_gets_what_there_is_then_what_comes_then_the_end() -> None:
    feed = Feed()
    for at in range(KEPT + 5):
        feed.add(sample(at))
    with feed.reader() as early, feed.reader() as late:
        assert [each["at"] for each in next(early)] == [*range(5, KEPT + 5)]
        feed.add(sample(1000))
        assert [each["at"] for each in next(early)] == [1000]
        assert [each["at"] for each in next(late)][-2:] == [KEPT + 4, 1000]
    feed.add(sample(1001))
    feed.end()
    assert [[each["at"] for each in batch] for batch in early] == [[1001]]
    with feed.reader() as after:
        assert [each["at"] for each in next(after)][-1] == 1001


# --- real twins ---


@pytest.fixture
def sampler(stack: Stack, naive_url: str, async_url: str) -> Iterator[Sampler]:
    (stack.run_dir / PROGRESS).unlink(missing_ok=True)
    yield Sampler(stack.run_dir, stack.settings, os.getpid())
    (stack.run_dir / PROGRESS).unlink(missing_ok=True)


def test_what_real_twins_were_sent_is_in_the_next_sample(
    stack: Stack, sampler: Sampler, naive_url: str, async_url: str
) -> None:
    assert sampler.sample()["charts"]["rates"] == {}
    for number in range(20):
        client.log(naive_url, f"live {number}")
        client.log(async_url, f"live {number}")
    client.post(naive_url, b"not JSON")
    (stack.run_dir / PROGRESS).write_text(json.dumps(LINE | {"target": async_url}) + "\n")
    found = sampler.sample()
    charts = found["charts"]
    assert set(found["running"]) >= {"naive_sync", "async_dedup"}
    assert found["load"] is not None
    assert found["load"]["subject"] == "async_dedup"
    assert charts["p95"].keys() == {"naive_sync", "async_dedup", "async_dedup, client"}
    assert all(0.1 < (value or 0) < 20_000 for value in charts["p95"].values())
    naive = charts["rates"]["naive_sync"]
    for twin, sent in (("naive_sync", 21), ("async_dedup", 20)):
        grown = sampler._processes[twin].grown
        assert grown is not None
        assert charts["rates"][twin] == pytest.approx(sent / grown.seconds)
    assert charts["failed"] == {"naive_sync refused 400": pytest.approx((naive or 0) / 21)}
    assert None not in charts["queue"].values()
    assert charts["freshness"]["since the last flush"] is not None


def test_who_listens_without_being_the_twin_is_not_asked(stack: Stack, naive_url: str) -> None:
    """A step of the ladder takes its twin's port; of a stack that is not its own it knows nobody."""
    sampler = Sampler(stack.run_dir, stack.settings, stack_pid=0)
    sampler.sample()
    found = sampler.sample()
    assert (found["charts"]["rates"], found["running"]) == ({}, [])


def test_a_twin_that_is_not_up_is_a_gap(stack: Stack, sampler: Sampler) -> None:
    sampler.sample()
    assert sampler.sample()["charts"]["rates"] == {"naive_sync": 0, "async_dedup": 0}
    stack.stop_twin("naive_sync")
    try:
        without = sampler.sample()
        assert without["charts"]["rates"] == {"async_dedup": 0}
        assert "naive_sync" not in without["running"]
    finally:
        stack.start_twin("naive_sync")
    assert sampler.sample()["charts"]["rates"] == {"async_dedup": 0}
    assert sampler.sample()["charts"]["rates"] == {"naive_sync": 0, "async_dedup": 0}


def test_where_events_go_without_redis_is_told_with_why_and_since_when(
    stack: Stack, sampler: Sampler, async_url: str
) -> None:
    assert sampler.sample()["ingest"] is None
    stack.kill("redis")
    try:
        client.eventually(lambda: client.log(async_url, "live, without Redis").status == 200, "it goes on")
        told = sampler.sample()["ingest"]
        assert told
        assert (told["state"], told["reason"][:6]) == ("direct", "Redis:")
        assert told["since"].endswith("Z")
    finally:
        stack.start("redis")
    client.eventually(lambda: sampler.sample()["ingest"] is None, "Redis is believed again")


def test_a_step_of_the_ladder_is_seen_as_itself(stack: Stack, sampler: Sampler) -> None:
    stack.stop_twin("naive_sync")
    try:
        stack.start_twin("upsert")
        sampler.sample()
        client.log(stack.base_url("upsert"), "seen")
        found = sampler.sample()
        assert set(found["running"]) >= {"upsert"}
        assert found["charts"]["rates"].keys() == {"upsert", "async_dedup"}
        assert found["charts"]["p95"]["upsert"] is not None
        stack.stop_twin("upsert")
    finally:
        stack.start_twin("naive_sync")
