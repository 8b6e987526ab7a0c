"""Percentiles are exact, and the histograms agree with them to three significant digits."""

from math import ceil

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from loadtests.load.percentiles import PERCENTILES, histogram, percentile, percentiles

LATENCIES = st.lists(st.floats(0, 60_000), min_size=1, max_size=500)


@given(LATENCIES, st.integers(1, 1000))
def test_a_percentile_is_the_smallest_value_that_enough_others_do_not_exceed(
    values: list[float], per_mille: int
) -> None:
    enough = (v for v in sorted(values) if 1000 * sum(o <= v for o in values) >= per_mille * len(values))
    assert percentile(sorted(values), per_mille / 10) == next(enough)


@given(LATENCIES)
def test_percentiles_are_taken_from_a_sorted_reference(values: list[float]) -> None:
    ordered, ranks = sorted(values), {"p50": 500, "p90": 900, "p95": 950, "p99": 990, "p99.9": 999}
    expected = {name: ordered[ceil(len(ordered) * rank / 1000) - 1] for name, rank in ranks.items()}
    assert percentiles(values) == expected | {"max": ordered[-1]}


def test_without_values_there_is_no_percentile() -> None:
    assert percentiles([]) == dict.fromkeys(("p50", "p90", "p95", "p99", "p99.9", "max"))


@given(LATENCIES)
def test_a_histogram_agrees_with_the_sorted_values_to_three_digits(values: list[float]) -> None:
    decoded = HdrHistogram.decode(histogram(values))
    assert decoded.get_total_count() == len(values)
    for percent in PERCENTILES:
        # The library rounds a rank where nearest-rank takes the next one: ask for the very same rank.
        rank = ceil(round(percent * 10) * len(values) / 1000)
        milliseconds = decoded.get_value_at_percentile(100 * rank / len(values)) / 1000
        assert milliseconds == pytest.approx(sorted(values)[rank - 1], rel=0.001, abs=0.001)


@given(LATENCIES, st.integers(0, 500))
def test_histograms_of_parts_add_up_to_that_of_the_whole(values: list[float], cut: int) -> None:
    merged = HdrHistogram.decode(histogram(values[:cut]))
    merged.add(HdrHistogram.decode(histogram(values[cut:])))
    whole = HdrHistogram.decode(histogram(values))
    for percent in (*PERCENTILES, 100):
        assert merged.get_value_at_percentile(percent) == whole.get_value_at_percentile(percent)
    assert merged.get_total_count() == whole.get_total_count()
