"""What a run consists of."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.analysis.pairs import FLOORS
from loadtests.load.profiles import PROFILES
from loadtests.load.subjects import TWINS
from loadtests.load.workload import MEAN_THINK_SECONDS
from loadtests.trial.plan import FLOOR_SECONDS, PAIRS, Part, floor_profile, parts, planned_seconds, turns


def test_a_full_run_is_three_profiles_of_which_pairs_sets_the_first() -> None:
    assert parts("full", 12) == [Part("ramp", 12, block=2), Part("knee", 3), Part("spike", 3)]
    assert parts("full", 4)[0] == Part("ramp", 4, block=2)
    assert parts("knee", 2) == [Part("knee", 2)]


@given(
    st.integers(1, 9),
    st.integers(1, 2),
    st.sampled_from([TWINS, TWINS[:1], (*TWINS, "other")]),
    st.integers(),
)
def test_every_pair_has_one_trial_of_each_twin(
    pairs: int, block: int, twins: tuple[str, ...], seed: int
) -> None:
    found = turns(Part("ramp", pairs, block), twins, seed)
    assert Counter((turn.pair, turn.twin) for turn in found) == Counter(
        (pair, twin) for pair in range(1, pairs + 1) for twin in twins
    )
    for twin in twins:
        assert [turn.pair for turn in found if turn.twin == twin] == list(range(1, pairs + 1))


def test_the_trials_of_a_block_stay_together_in_any_order() -> None:
    found = turns(Part("ramp", 200, block=2), TWINS, seed=1)
    blocks = [found[first : first + 4] for first in range(0, len(found), 4)]
    assert all({turn.pair for turn in block} == {2 * n + 1, 2 * n + 2} for n, block in enumerate(blocks))
    assert all([turn.order for turn in block] == [1, 2, 3, 4] for block in blocks)
    assert len({tuple(turn.twin for turn in block) for block in blocks}) == 6


def test_the_order_is_drawn_by_the_seed() -> None:
    part = Part("ramp", 50)
    assert turns(part, TWINS, 1) == turns(part, TWINS, 1) != turns(part, TWINS, 2)
    first = {turn.twin for turn in turns(part, TWINS, 1) if turn.order == 1}
    assert first == set(TWINS)


def test_each_level_of_the_floor_is_long_enough_for_a_p95_and_no_longer_than_a_minute() -> None:
    assert floor_profile("soak").seconds < 120 < PROFILES["soak"].seconds
    assert floor_profile("smoke") == PROFILES["smoke"]
    for level, plain in zip(floor_profile("ramp").levels, PROFILES["ramp"].levels, strict=True):
        requests = (level.seconds - level.start_up_seconds) * level.users / MEAN_THINK_SECONDS
        assert requests > FLOORS["p95"] or level.seconds == FLOOR_SECONDS
        assert level.seconds >= plain.seconds


@pytest.mark.parametrize("name", PAIRS)
def test_more_pairs_and_more_twins_take_longer(name: str) -> None:
    few, many = (planned_seconds(parts(name, pairs), 2) for pairs in (1, 2))
    assert few < many < planned_seconds(parts(name, 2), 3)
