"""The first sentences of every report, whichever way it went."""

import pytest

from loadtests.report.numbers import factor
from loadtests.report.verdict import verdict
from tests.samples import full, knee_trial, level, results, trial


def test_the_heaviest_level_of_the_first_profile_and_the_knees() -> None:
    text = verdict(full(6))
    assert text.startswith(
        "At 500 users p95 is 180 ms with naive_sync and 60.0 ms with async_dedup: "
        "3.00 times as long (97% interval 2.88 to 3.12; 6 pairs)."
    )
    assert "naive_sync keeps up with 200 requests/s, async_dedup with 800: 4.00 times as many" in text
    assert "(4.00 to 4.00; 3 pairs, too few for an interval)" in text


def test_an_unflattering_result_is_told_in_the_same_words() -> None:
    text = verdict(results([trial(1, "naive_sync", p95=5.0), trial(1, "async_dedup", p95=10.0, lost=3)]))
    assert "5.0 ms with naive_sync and 10.0 ms with async_dedup: 0.50 times as long" in text
    assert "async_dedup lost 3 of 1,000" in text


def test_what_can_t_be_told_apart_is_said_to_be() -> None:
    assert "the two are indistinguishable." in verdict(full(6, ratio=1.0))
    assert "indistinguishable" not in verdict(full(6))


def test_without_enough_requests_there_is_no_figure() -> None:
    trials = [trial(1, "naive_sync", p95=5.0), trial(1, "async_dedup", p95=10.0)]
    for each in trials:
        each["levels"] = [level(10, 5.0, acknowledged=100)]
    assert verdict(results(trials)).startswith("10 users: too few requests for a p95.")


def test_invalid_trials_are_counted() -> None:
    made = full(6)
    made["trials"][0]["valid"] = False
    assert "1 of 24 trials were invalid and are not compared." in verdict(made)


def test_the_open_model_alone() -> None:
    text = verdict(results([knee_trial(1, "naive_sync", 200, 30.0), knee_trial(1, "async_dedup", 800, 10.0)]))
    assert text.startswith("At 200/s p95 is 33.0 ms with naive_sync")


def test_nothing_valid_is_nothing_to_compare() -> None:
    bad = trial(1, "naive_sync", p95=5.0)
    bad["valid"] = False
    assert "Nothing valid to compare" in verdict(results([bad, trial(1, "async_dedup", p95=10.0)]))


def test_what_is_missing_is_said_too() -> None:
    assert verdict(full(6) | {"missing": ["2 of 26 trials: interrupted"]}).endswith(
        "Missing: 2 of 26 trials: interrupted."
    )


@pytest.mark.parametrize(
    ("ratio", "shown"),
    [(0.8449, "0.84"), (3.886, "3.89"), (31.96, "32.0"), (187.08, "187"), (1450.2, "1,450")],
)
def test_a_ratio_has_no_more_digits_than_it_is_good_for(ratio: float, shown: str) -> None:
    assert factor(ratio) == shown
