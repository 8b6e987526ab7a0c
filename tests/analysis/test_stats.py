"""Distributions whose truth is known: an interval must hold it as often as it claims."""

from collections.abc import Callable
from itertools import combinations
from math import exp, sqrt, tan
from math import pi as PI
from random import Random

import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists

from loadtests.analysis.stats import band, chance, indistinguishable, interval, least_chance, ratio

DRAWS = 3_000
Draw = Callable[[Random], float]


def lognormal(random: Random) -> float:
    return random.lognormvariate(0, 0.5)


def bimodal(random: Random) -> float:
    """Mostly near 1, sometimes 20 times that, as with a pause of the disk; the median is 1."""
    low, high = random.random() ** 2, 1 + 19 * random.random()
    return low if random.random() < 0.5 else high


def heavy_tail(random: Random) -> float:
    """Pareto without a mean, divided by its median."""
    return random.paretovariate(1) / 2


def cauchy(random: Random) -> float:
    """Without a variance on the scale of the logarithm; cut off far out, where exp() ends."""
    return exp(max(-50.0, min(50.0, tan(PI * (random.random() - 0.5)))))


@pytest.mark.parametrize("draw", [lognormal, bimodal, heavy_tail, cauchy])
@pytest.mark.parametrize("number", [6, 7, 9, 12, 20, 31])
def test_the_interval_holds_the_median_as_often_as_it_claims(draw: Draw, number: int) -> None:
    """Neither less often, nor so much more often that it would be wide without need."""
    random = Random(f"{draw.__name__} {number}")
    held = 0
    for _ in range(DRAWS):
        found = ratio([draw(random) for _ in range(number)])
        held += found["low"] <= 1 <= found["high"]
    claimed = interval(number)[1]
    assert claimed is not None
    assert abs(held / DRAWS - claimed) < four_errors(claimed)


def four_errors(share: float) -> float:
    """Four standard errors of a share that was counted in so many draws."""
    return 4 * sqrt(share * (1 - share) / DRAWS)


@pytest.mark.parametrize(
    ("number", "rank", "confidence"), [(6, 1, 0.96875), (9, 2, 0.9609375), (12, 3, 0.96142578125)]
)
def test_the_ranks_are_those_of_the_sign_test(number: int, rank: int, confidence: float) -> None:
    """As in the tables of textbooks."""
    assert interval(number) == (rank, confidence)


@pytest.mark.parametrize("number", range(6, 60))
def test_no_narrower_interval_would_do(number: int) -> None:
    rank, confidence = interval(number)
    assert confidence is not None
    assert confidence >= 0.95
    narrower = [Random(n).random() for n in range(number)]  # any values: only the order counts
    assert ratio(narrower)["low"] == sorted(narrower)[rank - 1]
    beyond = sum(binomial(number, below) for below in range(rank + 1))
    assert 1 - 2 * beyond < 0.95


def binomial(number: int, successes: int) -> float:
    """The probability of so many heads, by Pascal's triangle."""
    row = [1.0]
    for _ in range(number):
        row = [(left + right) / 2 for left, right in zip([0.0, *row], [*row, 0.0], strict=True)]
    return row[successes]


@pytest.mark.parametrize("number", range(1, 6))
def test_fewer_than_six_are_a_demo(number: int) -> None:
    values = [1.0 + n for n in range(number)]
    found = ratio(values)
    assert (found["low"], found["high"], found["confidence"]) == (1.0, float(number), None)
    assert indistinguishable(found, noise=100.0) is None


@pytest.mark.parametrize("number", [6, 12])
def test_a_twin_against_itself_is_told_apart_as_seldom_as_claimed(number: int) -> None:
    """Without a control; with the band of one, even more seldom."""
    random = Random(number)
    alone = with_band = 0
    for _ in range(DRAWS):
        found = ratio([lognormal(random) / lognormal(random) for _ in range(number)])
        noise = band([lognormal(random) / lognormal(random) for _ in range(number // 2)])
        alone += bool(indistinguishable(found))
        with_band += bool(indistinguishable(found, noise))
    claimed = interval(number)[1]
    assert claimed is not None
    assert abs(alone / DRAWS - claimed) < four_errors(claimed)
    assert alone < with_band <= DRAWS


def test_what_differs_is_told_apart() -> None:
    random = Random(1)
    found = [ratio([8 * lognormal(random) / lognormal(random) for _ in range(12)]) for _ in range(DRAWS)]
    assert sum(not indistinguishable(each) for each in found) > 0.99 * DRAWS


def test_a_small_difference_inside_the_band_of_the_control_is_none() -> None:
    found = ratio([1.10, 1.12, 1.15, 1.11, 1.13, 1.14])
    assert indistinguishable(found) is False
    assert indistinguishable(found, noise=1.16) is True
    assert indistinguishable(found, noise=1.14) is False
    slower = ratio([1 / value for value in (1.10, 1.12, 1.15, 1.11, 1.13, 1.14)])
    assert indistinguishable(slower, noise=1.16) is True


def test_the_band_holds_every_ratio_and_its_reciprocal() -> None:
    assert band([1.1, 0.8, 1.2]) == 1.25
    assert band([0.9, 1.3]) == 1.3
    assert band([]) is None


def test_without_a_ratio_there_is_no_answer() -> None:
    assert indistinguishable(None, noise=2.0) is None


def brute_force(before: list[int], after: list[int]) -> float:
    """Every way to deal the values out again, one by one."""
    everything = before + after
    ranks = [sum(x < y for x in everything) + (1 + everything.count(y)) / 2 for y in everything]
    middle = len(before) * (len(everything) + 1) / 2
    apart = [abs(sum(dealt) - middle) for dealt in combinations(ranks, len(before))]
    return sum(each >= abs(sum(ranks[: len(before)]) - middle) for each in apart) / len(apart)


@given(lists(integers(0, 6), min_size=1, max_size=6), lists(integers(0, 6), min_size=1, max_size=6))
def test_the_rank_test_is_exact_with_equal_values_too(before: list[int], after: list[int]) -> None:
    assert chance(before, after) == pytest.approx(brute_force(before, after))


@pytest.mark.parametrize(("before", "after"), [(4, 4), (6, 6), (3, 12)])
def test_the_least_chance_is_that_of_values_that_do_not_overlap(before: int, after: int) -> None:
    assert chance(range(before), range(100, 100 + after)) == pytest.approx(least_chance(before, after))


def test_noise_is_seldom_called_a_change() -> None:
    random, runs = Random(1), 600
    called = sum(
        chance([lognormal(random) for _ in range(6)], [lognormal(random) for _ in range(6)]) <= 0.05
        for _ in range(runs)
    )
    assert 0.01 < called / runs < 0.05 + four_errors(0.05) * sqrt(DRAWS / runs)
