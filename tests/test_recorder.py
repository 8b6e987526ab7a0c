"""The recorder: exact percentiles, failures apart, nothing cut off."""

from math import ceil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.recorder import Level, Recorder, percentile, percentiles, write_json
from shared.fingerprint import fingerprint

LATENCIES = st.lists(st.floats(0, 60_000), min_size=1, max_size=500)


@given(LATENCIES, st.integers(1, 100))
def test_a_percentile_is_the_smallest_value_that_enough_others_do_not_exceed(
    values: list[float], percent: int
) -> None:
    enough = (v for v in sorted(values) if 100 * sum(o <= v for o in values) >= percent * len(values))
    assert percentile(sorted(values), percent) == next(enough)


@given(LATENCIES)
def test_percentiles_are_taken_from_a_sorted_reference(values: list[float]) -> None:
    ordered = sorted(values)
    expected = {f"p{p}": ordered[ceil(len(ordered) * p / 100) - 1] for p in (50, 90, 95, 99)}
    assert percentiles(values) == expected | {"max": ordered[-1]}


def test_without_values_there_is_no_percentile() -> None:
    assert percentiles([]) == {"p50": None, "p90": None, "p95": None, "p99": None, "max": None}


@pytest.fixture
def recorder() -> Recorder:
    """In a level with 10 users that began at 100 s and is measured from 101 s on."""
    recorder = Recorder()
    recorder.begin(Level(10, measured_from=101), now=100)
    return recorder


def ended(recorder: Recorder, now: float = 105) -> dict[str, object]:
    recorder.begin(Level(0), now)
    (level,) = recorder.result(cpu_seconds=0)["levels"]
    return dict(level)


def test_a_success_counts_for_level_and_reconciliation(recorder: Recorder) -> None:
    recorder.add(recorder.level, "m", sent=102, now=102.25, outcome="200")
    level = ended(recorder)
    assert level["latency_ms"] == {"p50": 250, "p90": 250, "p95": 250, "p99": 250, "max": 250}
    assert (level["users"], level["seconds"], level["acknowledged"]) == (10, 4, 1)
    assert level["achieved_rps"] == 0.25
    assert recorder.result(0)["acknowledged"] == {fingerprint("m"): 1}


def test_start_up_and_warm_up_count_for_the_reconciliation_only(recorder: Recorder) -> None:
    recorder.add(recorder.level, "m", sent=100.5, now=100.6, outcome="200")
    recorder.add(Level(10), "m", sent=50, now=50.1, outcome="200")
    assert ended(recorder)["acknowledged"] == 0
    assert recorder.result(0)["acknowledged"] == {fingerprint("m"): 2}


def test_an_answer_after_the_end_belongs_to_the_level_it_was_sent_in(recorder: Recorder) -> None:
    """Otherwise a slow twin's tail would be cut off."""
    level = recorder.level
    recorder.begin(Level(0), now=105)
    recorder.add(level, "m", sent=104, now=134, outcome="200")
    (result,) = recorder.result(0)["levels"]
    assert result["latency_ms"]["max"] == 30_000
    assert result["achieved_rps"] == 0


@pytest.mark.parametrize("outcome", ["500", "503", "timeout", "connection", "abandoned"])
def test_failures_are_counted_by_kind_and_never_timed(recorder: Recorder, outcome: str) -> None:
    recorder.add(recorder.level, "m", sent=102, now=102.001, outcome=outcome)
    level = ended(recorder)
    assert level["failed"] == {"500": 0, "503": 0, "timeout": 0} | {outcome: 1}
    assert level["latency_ms"] == percentiles([])
    assert recorder.result(0)["acknowledged"] == {}


@pytest.mark.parametrize(
    ("outcome", "unanswered"), [("500", 0), ("503", 1), ("timeout", 1), ("connection", 1), ("abandoned", 1)]
)
def test_unanswered_are_those_whose_event_may_have_been_kept(
    recorder: Recorder, outcome: str, unanswered: int
) -> None:
    recorder.add(recorder.level, "m", sent=100.1, now=100.2, outcome=outcome)
    assert sum(recorder.result(0)["unanswered"].values()) == unanswered


def test_the_generator_is_watched_while_a_level_is_measured(recorder: Recorder) -> None:
    for now, cpu, late in ((101.0, 5.0, 0.001), (103.0, 6.0, 0.002), (105.0, 7.0, 0.030)):
        recorder.level.pulse(now, cpu, late)
    assert ended(recorder)["generator"] == {"cpu_share": 0.5, "loop_lag_p99_ms": 30}


def test_p95_so_far_comes_from_all_of_a_long_level(recorder: Recorder) -> None:
    for number in range(10_000):
        recorder.add(recorder.level, "m", sent=102, now=102 + number / 10_000, outcome="200")
    assert recorder.p95_so_far() == pytest.approx(950, abs=5)


def test_a_file_is_written_at_once(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "results.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert path.read_text() == '{\n "a": 1\n}\n'
