"""The record: requests belong to the level they were due in, failures are apart, nothing is cut off."""

from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.load.levels import result
from loadtests.load.outcomes import COLUMNS, FOLDED, Packed
from loadtests.load.percentiles import percentiles
from loadtests.load.profiles import NOISY, NOISY_ONE, OTHERS, PlannedLevel, Profile, all_at_once, at_rate

Row = tuple[float, float, float, float, str]
"""Due, ready, sent, ended, outcome."""
CLOSED = Profile("p", (PlannedLevel("a", 5, 4, 1), PlannedLevel("b", 9, 5, 0)), warm_up_seconds=2)
"""Measured from 3 s to 6 s and from 6 s to 11 s."""
OPEN = at_rate(10, 4)
"""Measured from 2 s to 6 s."""


def asked(sent: float, ended: float, outcome: str = "200") -> Row:
    return (sent, sent, sent, ended, outcome)


def packed(*rows: Row, over: float = 11, pulses: list[tuple[float, float, float]] | None = None) -> Packed:
    columns = list(zip(*rows, strict=True)) or [()] * 5
    return {
        "columns": {
            name: array("d", column).tobytes() for name, column in zip(COLUMNS, columns, strict=False)
        },
        "service": ["default"] * len(rows),
        "outcome": list(columns[4]),
        "failed": {},
        "acknowledged": {"f": len(rows)},
        "unanswered": {},
        "service_of": {},
        "pulses": pulses or [],
        "cpu_seconds": 1.5,
        "over": over,
        "began_at": 1_799_999_990.0,
        "ended_at": 1_800_000_000.0,
    }


def first_level(profile: Profile, *processes: Packed) -> dict[str, Any]:
    return dict(result(profile, processes)["levels"][0])


def test_a_success_counts_for_its_level() -> None:
    level = first_level(CLOSED, packed(asked(4, 4.25)))
    assert level["latency_ms"] == dict.fromkeys(("p50", "p90", "p95", "p99", "p99.9", "max"), 250)
    assert (level["name"], level["users"], level["seconds"], level["acknowledged"]) == ("a", 5, 3, 1)
    assert level["sent_rps"] == level["achieved_rps"] == pytest.approx(1 / 3)
    assert (level["offered_rps"], level["due_latency_ms"], level["due_histogram"]) == (None, None, None)


def test_start_up_and_warm_up_are_in_no_level() -> None:
    found = result(CLOSED, [packed(asked(1, 1.1), asked(2.9, 3.1))])
    assert [level["acknowledged"] for level in found["levels"]] == [0, 0]
    assert found["acknowledged"] == {"f": 2}


def test_an_answer_after_the_end_belongs_to_the_level_it_was_sent_in() -> None:
    """Otherwise a slow server's tail would be cut off."""
    a, b = result(CLOSED, [packed(asked(5, 35))])["levels"]
    assert a["latency_ms"]["max"] == 30_000
    assert (a["sent_rps"], a["achieved_rps"]) == (pytest.approx(1 / 3), 0)
    assert (a["in_flight_at_start"], a["in_flight_at_end"]) == (0, 1)
    assert (b["in_flight_at_start"], b["in_flight_at_end"], b["acknowledged"]) == (1, 1, 0)


@pytest.mark.parametrize("outcome", ["500", "503", "timeout", "connection", "abandoned"])
def test_failures_are_counted_by_kind_and_never_timed(outcome: str) -> None:
    level = first_level(CLOSED, packed(asked(4, 4.001, outcome)))
    assert level["failed"] == {"500": 0, "503": 0, "timeout": 0} | {outcome: 1}
    assert level["latency_ms"] == percentiles([])
    assert (level["sent_rps"], level["achieved_rps"]) == (pytest.approx(1 / 3), 0)


def test_in_the_open_model_latency_is_taken_from_when_it_was_due_as_well() -> None:
    level = first_level(OPEN, packed((3, 4, 4.0, 4.5, "200")))
    assert (level["latency_ms"]["max"], level["due_latency_ms"]["max"]) == (500, 1500)
    assert (level["offered_rps"], level["sent_rps"], level["achieved_rps"]) == (0.25, 0.25, 0.25)


def test_a_start_that_was_missed_is_offered_in_its_level_but_not_sent_in_it() -> None:
    level = first_level(OPEN, packed((5, 9, 9, 10, "200"), (5.5, 36, 36, 36, "unsent")))
    assert (level["offered_rps"], level["sent_rps"], level["achieved_rps"]) == (0.5, 0, 0)
    assert (level["in_flight_at_end"], level["failed"]["unsent"]) == (2, 1)


def test_a_late_start_is_the_generators_fault_only_where_a_connection_was_free() -> None:
    waited_for_a_connection, overslept = (3.0, 4.0, 4.001, 4.1, "200"), (5.0, 5.0, 5.2, 5.3, "200")
    assert first_level(OPEN, packed(waited_for_a_connection))["generator"]["sent_share"] == 1
    assert first_level(OPEN, packed(waited_for_a_connection, overslept))["generator"]["sent_share"] == 0.5


def test_the_generator_is_its_busiest_process_and_all_their_lags() -> None:
    lazy = packed(pulses=[(3.5, 5.0, 0.001), (5.5, 5.2, 0.002), (7.0, 9.0, 0.9)])
    busy = packed(pulses=[(3.1, 1.0, 0.003), (5.1, 2.0, 0.004)])
    found = result(CLOSED, [lazy, busy])
    assert found["levels"][0]["generator"] == {
        "cpu_share": pytest.approx(0.5),
        "loop_lag_p99_ms": 4,
        "sent_share": None,
    }
    assert found["cpu_seconds"] == 3


def test_a_level_that_was_never_reached_is_left_out() -> None:
    (level,) = result(CLOSED, [packed(asked(4, 4.5), over=5)])["levels"]
    assert (level["seconds"], level["achieved_rps"]) == (2, 0.5)


def test_the_timeline_holds_every_request_by_when_it_was_sent() -> None:
    timeline = result(CLOSED, [packed(asked(0.5, 0.6), asked(7.0, 7.3), asked(7.9, 9, "500"), asked(12, 13))])
    assert timeline["timeline"] == {
        "slot_seconds": 1,
        "users": [5] * 6 + [9] * 5,
        "acknowledged": [1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1],
        "failed": [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0],
        "p50_ms": [pytest.approx(100), *[None] * 6, pytest.approx(300), None, None, 1000],
        "p95_ms": [pytest.approx(100), *[None] * 6, pytest.approx(300), None, None, 1000],
    }


def test_a_long_timeline_has_longer_slots() -> None:
    profile = Profile("soak", (PlannedLevel("a", 1, 1800, 0),), warm_up_seconds=3)
    timeline = result(profile, [packed(over=1803)])["timeline"]
    assert timeline["slot_seconds"] == 8
    assert len(timeline["users"]) == 226


def test_each_of_several_services_has_its_own_levels_and_timeline() -> None:
    profile = NOISY.with_level_seconds([5, 5, 5])
    sent = packed(
        *(asked(4, 4.1), asked(9, 9.2), asked(9.5, 9.6, "429"), asked(10, 10.4), asked(14, 14.1, FOLDED)),
        over=18,
    )
    sent["service"] = ["billing", NOISY_ONE, NOISY_ONE, "billing", NOISY_ONE]
    found = result(profile, [sent])["services"]
    assert set(found) == {NOISY_ONE, *OTHERS}
    assert [level["acknowledged"] for level in found["billing"]["levels"]] == [1, 1, 0]
    assert [level["acknowledged"] for level in found[NOISY_ONE]["levels"]] == [0, 1, 1]
    assert [level["failed"].get("429", 0) for level in found[NOISY_ONE]["levels"]] == [0, 1, 0]
    assert found["billing"]["let_through"] == [4.1, 10.4]
    assert found[NOISY_ONE]["timeline"]["acknowledged"] == [0, 1, 1, 0]
    assert found["search"]["let_through"] == []


def test_one_service_alone_is_in_the_levels_of_all() -> None:
    assert result(CLOSED, [packed(asked(4, 4.25))])["services"] == {}


def test_in_a_rush_everybody_is_due_at_once_and_the_last_one_waited_for_all() -> None:
    profile = all_at_once(3)
    (level,) = result(profile, [packed((2.5, 2.5, 2.5, 3, "200"), (2.5, 3, 3, 4.5, FOLDED), over=3)])[
        "levels"
    ]
    assert (level["acknowledged"], level["due_latency_ms"]["max"], level["latency_ms"]["max"]) == (
        2,
        2_000,
        1_500,
    )


@given(
    st.lists(st.tuples(st.floats(0, 11), st.floats(0, 5), st.sampled_from(["200", "500"])), max_size=200),
    st.data(),
)
def test_processes_merge_without_loss(requests: list[tuple[float, float, str]], data: st.DataObject) -> None:
    rows = [asked(sent, sent + took, outcome) for sent, took, outcome in requests]
    cut = data.draw(st.integers(0, len(rows)))
    whole, parts = result(CLOSED, [packed(*rows)]), result(CLOSED, [packed(*rows[cut:]), packed(*rows[:cut])])
    assert parts | {"cpu_seconds": 0} == whole | {"cpu_seconds": 0}
