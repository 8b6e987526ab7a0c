"""The profiles: which level runs when, and what a command line means."""

import pytest

from loadtests.load.profiles import PROFILES, PlannedLevel, Profile, at_rate, planned

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


@pytest.mark.parametrize(("name", "rate"), [("open", 0), ("ramp", 100), ("nothing", 0)])
def test_what_it_can_not_mean_is_refused(name: str, rate: float) -> None:
    with pytest.raises(ValueError, match="no such profile"):
        planned(name, [], rate)
