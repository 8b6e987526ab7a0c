"""The search for the knee, on twins that are a number only."""

from math import inf
from typing import cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadtests.analysis.overload import why_too_much
from loadtests.analysis.results import Knee
from loadtests.load.measured import Level
from loadtests.trial.knee import PRECISION, RATES, Search, climb, confirm, search
from tests.samples import level

MOST_STEPS = len(RATES) + 3
SLOW = "the p95 was 990 ms"


class Twin:
    """Keeps up with all rates up to `capacity`, and remembers what it was offered."""

    def __init__(self, capacity: float, generator: float = inf) -> None:
        self.capacity, self.generator = capacity, generator
        self.offered: list[float] = []
        self.levels: list[Level] = []

    def follow(self, search: Search) -> Knee:
        """Drive the search as a `Driver` does."""
        try:
            rate = next(search)
            while True:
                self.offered.append(rate)
                self.levels.append(self._level(rate))
                rate = search.send(self.levels[-1])
        except StopIteration as found:
            return cast("Knee", found.value)

    def _level(self, rate: float) -> Level:
        made = level(500, 900.0 if rate > self.capacity else 5.0, profile="knee", rate=rate)
        made["generator"]["cpu_share"] = 0.99 if rate > self.generator else 0.5
        return made

    @property
    def rates(self) -> list[float]:
        """Without the second tries."""
        return list(dict.fromkeys(self.offered))


@given(st.floats(RATES[0], RATES[-1], exclude_max=True))
@example(RATES[0])
@example(400.0)
@example(399.9)
def test_the_knee_is_found_within_10_percent_and_never_too_high(capacity: float) -> None:
    twin = Twin(capacity)
    found = twin.follow(climb())["rps"]
    assert found is not None
    assert found <= capacity <= found * PRECISION
    assert len(twin.rates) <= MOST_STEPS


@given(st.floats(RATES[0], RATES[-1]))
def test_only_what_was_too_much_is_tried_again_and_once(capacity: float) -> None:
    twin = Twin(capacity)
    twin.follow(climb())
    assert twin.offered == [rate for rate in twin.rates for _ in range(1 + (rate > capacity))]


@given(st.floats(RATES[0], RATES[-1]), st.floats(RATES[0], RATES[-1]))
def test_every_twin_is_offered_the_same_rates_on_the_way_up(first: float, second: float) -> None:
    lower, higher = Twin(min(first, second)), Twin(max(first, second))
    lower.follow(climb())
    higher.follow(climb())
    climbed = [rate for rate in lower.rates if rate in RATES]
    assert higher.rates[: len(climbed)] == climbed == list(RATES[: len(climbed)])


def test_the_limit_is_the_reason_at_the_lowest_rate_that_was_too_much() -> None:
    assert Twin(400.0).follow(climb()) == {"rps": 400.0, "limit": f"at 436/s {SLOW}"}


def test_a_twin_that_does_not_keep_up_with_the_lowest_rate_has_no_knee() -> None:
    assert Twin(49.9).follow(climb()) == {"rps": None, "limit": f"at 50/s {SLOW}"}


def test_a_twin_that_keeps_up_with_all_has_the_highest() -> None:
    found = Twin(1e6).follow(climb())
    assert found == {"rps": 12_800.0, "limit": "12800/s is the highest rate that is tried"}


@pytest.mark.parametrize("generator", [100.0, 500.0])
def test_where_the_generator_is_the_limit_there_is_no_knee(generator: float) -> None:
    """At 500/s it is while the interval from 400 to 800/s is halved."""
    found = Twin(600.0, generator).follow(climb())
    assert found["rps"] is None
    assert "the generator used 99% of its core" in found["limit"]
    assert f"{min(generator, 400):.0f}/s was not too much" in found["limit"]


def test_without_halving_only_the_rates_are_climbed() -> None:
    twin = Twin(150.0)
    assert twin.follow(climb(precision=inf))["rps"] == 100.0
    assert twin.rates == [50.0, 100.0, 200.0]


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
    found = twin.follow(confirm({"rps": 500.0, "limit": "at 800/s it was slow"}))
    assert twin.rates == [500.0, 500 / PRECISION, 500 / PRECISION**2]
    assert found == {"rps": 500 / PRECISION**2, "limit": f"at {500 / PRECISION:.0f}/s, tried again, {SLOW}"}


def test_a_knee_that_holds_stays_as_it_is() -> None:
    knee: Knee = {"rps": 400.0, "limit": "at 436/s it was slow"}
    assert Twin(400.0).follow(confirm(knee)) == knee


def test_what_is_not_there_needs_not_hold() -> None:
    twin, knee = Twin(0.0), Knee(rps=None, limit="at 50/s it was slow")
    assert (twin.follow(confirm(knee)), twin.offered) == (knee, [])


def test_below_the_lowest_rate_there_is_no_knee() -> None:
    assert Twin(40.0).follow(confirm({"rps": 50.0, "limit": ""}))["rps"] is None
    twin = Twin(0.0)
    assert twin.follow(confirm({"rps": 54.0, "limit": ""}))["rps"] is None
    assert len(twin.rates) == 2


def test_a_generator_that_is_the_limit_at_the_second_time_leaves_no_knee() -> None:
    found = Twin(1e6, generator=300.0).follow(confirm({"rps": 400.0, "limit": ""}))
    assert found == {"rps": None, "limit": "at 400/s, tried again, the generator used 99% of its core"}


def test_a_whole_search_ends_with_the_latency_at_shares_of_the_knee() -> None:
    twin = Twin(60.0)
    found = twin.follow(search())["rps"]
    assert found is not None
    assert found <= 60.0 <= found * PRECISION
    names = [each["name"] for each in twin.levels]
    assert names[-4:] == [f"{share} % of the knee" for share in (100, 50, 75, 90)]
    assert twin.offered[-4:] == [pytest.approx(found * share / 100) for share in (100, 50, 75, 90)]
    assert names[:3] == ["50/s", "100/s, first try", "100/s"]


def test_without_a_knee_there_is_nothing_to_take_shares_of() -> None:
    twin = Twin(10.0)
    assert twin.follow(search())["rps"] is None
    assert [each["name"] for each in twin.levels] == ["50/s, first try", "50/s"]
