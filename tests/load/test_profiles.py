"""The profiles: which level runs when, and what a command line means."""

from collections import Counter

import pytest

from loadtests.load.profiles import (
    CONNECTED,
    NOISY,
    NOISY_ONE,
    OTHERS,
    PROFILES,
    PlannedLevel,
    Profile,
    all_at_once,
    at_rate,
    planned,
)

TWO = Profile("two", (PlannedLevel("a", 10, 6, 1), PlannedLevel("b", 50, 6, 0)), warm_up_seconds=3)


def test_a_profile_knows_its_levels() -> None:
    levels = [TWO.level_at(seconds) for seconds in (0, 2.9, 3, 8.9, 9, 14.9, 15)]
    assert levels == [-1, -1, 0, 0, 1, 1, None]
    assert [TWO.users_at(seconds) for seconds in (0, 3, 9, 15)] == [10, 10, 50, 50]
    words = [TWO.words_at(seconds) for seconds in (0, 3, 9, 15)]
    assert words == ["warm-up", "level 1 of 2", "level 2 of 2", "waiting for the last answers"]
    assert TWO.seconds == 15
    assert TWO.spans == [(4, 9), (9, 15)]


def test_it_knows_how_long_it_is_to_the_next_level() -> None:
    assert [TWO.until_change(at, horizon=1) for at in (0, 2.25, 3, 8.5, 14.5)] == [0, 0.75, 0, 0.5, 0]


def test_the_open_model_has_connections_for_a_slow_server_within_bounds() -> None:
    assert [at_rate(rate, 6).levels[0].users for rate in (1, 200, 5000)] == [10, 100, 500]
    (level,) = at_rate(123.4, 6).levels
    assert (level.name, level.rate, level.seconds) == ("123/s", 123.4, 6)


def test_a_command_line_means_a_profile() -> None:
    assert planned("ramp", [], 0) == PROFILES["ramp"]
    assert {level.seconds for level in planned("ramp", [2], 0).levels} == {2}
    assert planned("open", [5], 100) == at_rate(100, 5)


def test_a_level_needs_more_than_its_start_up() -> None:
    with pytest.raises(ValueError, match="too short"):
        planned("ramp", [1.5], 0)


@pytest.mark.parametrize(
    ("name", "rate", "rush"),
    [
        *(("open", 0, 0), ("ramp", 100, 0), ("nothing", 0, 0)),
        *(("rush", 0, 0), ("rush", 100, 5), ("open", 100, 5), ("ramp", 0, 5)),
    ],
)
def test_what_it_can_not_mean_is_refused(name: str, rate: float, rush: int) -> None:
    with pytest.raises(ValueError, match="no such profile"):
        planned(name, [], rate, rush)


def test_several_services_have_connections_of_their_own_among_the_first_as_among_all() -> None:
    places = NOISY.places
    assert {len(places)} == {level.users for level in NOISY.levels}
    every = Counter(places)
    assert every == {NOISY_ONE: 200, **dict.fromkeys(OTHERS, 10)}
    half = Counter(places[: len(places) // 2])
    assert all(abs(2 * half[service] - every[service]) <= 2 for service in every)


def test_the_noisy_one_is_noisy_between_two_quiet_times() -> None:
    assert [level.rate_of(NOISY_ONE) for level in NOISY.levels] == [20, 400, 20]
    assert {level.rate_of(service) for level in NOISY.levels for service in OTHERS} == {20}
    assert [NOISY.rate_at(seconds) for seconds in (0, 3, 43, 83, 200)] == [60, 60, 440, 60, 60]
    assert (RAMP_RATE, at_rate(50, 5).rate_at(9)) == (None, 50)


RAMP_RATE = PROFILES["ramp"].rate_at(5)


def test_a_rush_is_an_open_model_of_users_who_wait_for_their_turn() -> None:
    many, few = all_at_once(10_000), planned("rush", [], 0, 50)
    assert [profile.most_users for profile in (many, few)] == [CONNECTED, 50]
    assert many.is_open
    assert many.is_rush
    assert not any(profile.is_rush for profile in (*PROFILES.values(), at_rate(50, 5)))
