"""The statistics of a few trials, from the order of the values: nothing is assumed about their shape."""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from math import comb
from statistics import median

from loadtests.analysis.results import Ratio

CONFIDENCE = 0.95
PAIRS_FOR_AN_INTERVAL = 6
"""With fewer, not even the smallest and the largest value reach the confidence."""


def ratio(values: Sequence[float]) -> Ratio:
    """Return the median of at least one ratio, and its interval."""
    ordered = sorted(values)
    rank, confidence = interval(len(ordered))
    return {
        "median": median(ordered),
        "low": ordered[rank - 1],
        "high": ordered[-rank],
        "pairs": len(ordered),
        "confidence": confidence,
    }


@cache
def interval(number: int) -> tuple[int, float | None]:
    """Return which value from either end bounds the median of `number` values, and how surely.

    It is the narrowest interval that holds the true median with at least 95 %; without one, (1, None).
    """
    found: tuple[int, float | None] = (1, None)
    for rank in range(1, number // 2 + 1):
        confidence = 1 - 2 * sum(comb(number, below) for below in range(rank)) / 2**number
        if confidence < CONFIDENCE:
            break
        found = (rank, confidence)
    return found


def band(ratios: Sequence[float]) -> float | None:
    """Return m of the band from 1/m to m that holds all `ratios` of a twin to itself; None without any."""
    return max((max(each, 1 / each) for each in ratios), default=None)


def indistinguishable(found: Ratio | None, noise: float | None = None) -> bool | None:
    """Return whether 1 is in the interval, or all of it in the band of the control `noise`.

    None where there is no interval, and so no answer.
    """
    if found is None or found["confidence"] is None:
        return None
    limit = noise or 1.0
    return found["low"] <= 1 <= found["high"] or 1 / limit <= found["low"] <= found["high"] <= limit


def chance(before: Sequence[float], after: Sequence[float]) -> float:
    """Return how likely ranks that far apart are where nothing has changed.

    It is the exact, two-sided p-value of Wilcoxon's rank-sum test; equal values share their middle rank.
    """
    everything = sorted([*before, *after])
    # Doubled, to stay whole numbers.
    ranks = {value: 2 * everything.index(value) + everything.count(value) + 1 for value in everything}
    # For each number of chosen values: how many choices have each sum of ranks.
    ways: list[Counter[int]] = [Counter({0: 1}), *(Counter() for _ in before)]
    for value in everything:
        for chosen in range(len(before), 0, -1):
            for total, number in ways[chosen - 1].items():
                ways[chosen][total + ranks[value]] += number
    middle = len(before) * (len(everything) + 1)
    apart = abs(sum(ranks[value] for value in before) - middle)
    extreme = sum(number for total, number in ways[-1].items() if abs(total - middle) >= apart)
    return extreme / ways[-1].total()


def least_chance(before: int, after: int) -> float:
    """Return the smallest p-value that so many values can reach."""
    return 2 / comb(before + after, before)
