"""The search for the knee, on twins that are a number only."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadtests.analysis.results import Knee, Level
from loadtests.trial.knee import PRECISION, RATES, GeneratorLimit, confirm, find_knee, why_too_much
from tests.samples import level

MOST_STEPS = len(RATES) + 3


class Twin:
    """Keeps up with all rates up to `capacity`, and remembers what it was offered."""

    def __init__(self, capacity: float, generator: float = float("inf")) -> None:
        self.capacity, self.generator = capacity, generator
        self.offered: list[float] = []

    def __call__(self, rate: float) -> str | None:
        self.offered.append(rate)
        if rate > self.generator:
            raise GeneratorLimit("the generator used 99% of its core")
        return "it was slow" if rate > self.capacity else None


@given(st.floats(RATES[0], RATES[-1], exclude_max=True))
@example(RATES[0])
@example(400.0)
@example(399.9)
def test_the_knee_is_found_within_10_percent_and_never_too_high(capacity: float) -> None:
    twin = Twin(capacity)
    found = find_knee(twin)["rps"]
    assert found is not None
    assert found <= capacity <= found * PRECISION
    assert len(twin.offered) <= MOST_STEPS
    assert len(set(twin.offered)) == len(twin.offered)


@given(st.floats(RATES[0], RATES[-1]), st.floats(RATES[0], RATES[-1]))
def test_every_twin_is_offered_the_same_rates_on_the_way_up(first: float, second: float) -> None:
    lower, higher = Twin(min(first, second)), Twin(max(first, second))
    find_knee(lower)
    find_knee(higher)
    climbed = [rate for rate in lower.offered if rate in RATES]
    assert higher.offered[: len(climbed)] == climbed == list(RATES[: len(climbed)])


def test_the_limit_is_the_reason_at_the_lowest_rate_that_was_too_much() -> None:
    assert find_knee(Twin(400.0)) == {"rps": 400.0, "limit": "at 436/s it was slow"}


def test_a_twin_that_does_not_keep_up_with_the_lowest_rate_has_no_knee() -> None:
    assert find_knee(Twin(49.9)) == {"rps": None, "limit": "at 50/s it was slow"}


def test_a_twin_that_keeps_up_with_all_has_the_highest() -> None:
    assert find_knee(Twin(1e6)) == {"rps": 12_800.0, "limit": "12800/s is the highest rate that is tried"}


@pytest.mark.parametrize("generator", [100.0, 500.0])
def test_where_the_generator_is_the_limit_there_is_no_knee(generator: float) -> None:
    """At 500/s it is while the interval from 400 to 800/s is halved."""
    found: Knee = find_knee(Twin(600.0, generator))
    assert found["rps"] is None
    assert "the generator used 99% of its core" in found["limit"]
    assert f"{min(generator, 400):.0f}/s was not too much" in found["limit"]


def test_without_halving_only_the_ladder_is_climbed() -> None:
    twin = Twin(150.0)
    assert find_knee(twin, precision=float("inf"))["rps"] == 100.0
    assert twin.offered == [50.0, 100.0, 200.0]


def at_400(p95: float | None = 20.0, answered: int = 2_000, grown: int = 0) -> Level:
    """5 seconds at 400/s, in which so many of the 2,000 requests were answered."""
    made = level(200, p95, profile="knee", rate=400.0)
    made["seconds"], made["achieved_rps"] = 5.0, answered / 5
    made["in_flight_at_start"], made["in_flight_at_end"] = 8, 8 + grown
    return made


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (at_400(), None),
        (at_400(p95=45.0), None),  # 49.5 ms from when they were due
        (at_400(p95=46.0), "the p95 was 51 ms"),
        (at_400(p95=None), "no request succeeded"),
        # 20 missing requests are 1 %, 20 in flight are the twin's at 50 ms; 13 more are chance.
        (at_400(answered=1_967), None),
        (at_400(answered=1_966), "98.3% of the offered rate was answered"),
        (at_400(grown=33), None),
        (at_400(grown=34), "the backlog grew by 34 requests"),
    ],
)
def test_when_a_rate_is_too_much(found: Level, why: str | None) -> None:
    assert why_too_much(found) == why


def test_a_knee_that_does_not_hold_is_lowered_until_it_does() -> None:
    twin = Twin(420.0)
    found = confirm({"rps": 500.0, "limit": "at 800/s it was slow"}, twin)
    assert twin.offered == [500.0, 500 / PRECISION, 500 / PRECISION**2]
    assert found == {
        "rps": 500 / PRECISION**2,
        "limit": f"at {500 / PRECISION:.0f}/s, tried again, it was slow",
    }


def test_a_knee_that_holds_stays_as_it_is() -> None:
    knee: Knee = {"rps": 400.0, "limit": "at 436/s it was slow"}
    assert confirm(knee, Twin(400.0)) == knee


def test_what_is_not_there_needs_not_hold() -> None:
    twin, knee = Twin(0.0), Knee(rps=None, limit="at 50/s it was slow")
    assert (confirm(knee, twin), twin.offered) == (knee, [])


def test_below_the_lowest_rate_there_is_no_knee() -> None:
    assert confirm({"rps": 50.0, "limit": ""}, Twin(40.0))["rps"] is None
    twin = Twin(0.0)
    assert confirm({"rps": 54.0, "limit": ""}, twin)["rps"] is None
    assert len(twin.offered) == 2


def test_a_generator_that_is_the_limit_at_the_second_time_leaves_no_knee() -> None:
    found = confirm({"rps": 400.0, "limit": ""}, Twin(1e6, generator=300.0))
    assert found == {"rps": None, "limit": "at 400/s, tried again, the generator used 99% of its core"}
