"""Figures over several trials: only of valid ones, and only where there are enough requests."""

import pytest

from loadtests.analysis.results import Results
from loadtests.analysis.summary import (
    LevelId,
    client_mean,
    ends,
    failures,
    knee,
    level_ids,
    level_percentile,
    over_trials,
    profiles,
    server_per_thousand,
    subjects,
    users_of,
)
from tests.samples import full, level, other, results, trial

TEN = LevelId("ramp", "10 users")


def of(*p95s: float, requests: int) -> Results:
    """Trials of the naive twin, each with so many requests."""
    trials = [trial(pair, "naive_sync", p95) for pair, p95 in enumerate(p95s, 1)]
    for each in trials:
        each["levels"][0]["acknowledged"] = requests
    return results(trials)


def test_a_percentile_is_the_median_of_those_of_the_trials() -> None:
    assert level_percentile(of(10.0, 30.0, 11.0, requests=5_000), "naive_sync", TEN, "p95") == 11.0


@pytest.mark.parametrize(
    ("requests", "known"),
    [(666, ["p50"]), (667, ["p50", "p95"]), (3_333, ["p50", "p95"]), (3_334, ["p50", "p95", "p99"])],
)
def test_a_percentile_needs_enough_requests_of_all_trials_together(requests: int, known: list[str]) -> None:
    made = of(10.0, 11.0, 12.0, requests=requests)
    names = ("p50", "p95", "p99")
    assert [name for name in names if level_percentile(made, "naive_sync", TEN, name) is not None] == known


def test_requests_of_invalid_trials_and_levels_do_not_count() -> None:
    made = of(10.0, 11.0, 12.0, requests=700)
    made["trials"][0]["valid"] = False
    assert level_percentile(made, "naive_sync", TEN, "p95") is None
    made = of(10.0, 11.0, 12.0, requests=700)
    made["trials"][0]["levels"][0]["valid"] = False
    assert level_percentile(made, "naive_sync", TEN, "p95") is None


def test_the_open_model_s_percentile_counts_from_when_a_request_was_due() -> None:
    assert level_percentile(full(), "async_dedup", LevelId("knee", "50/s"), "p95") == pytest.approx(5.5)


def test_the_client_s_mean_is_weighted_by_the_requests_of_the_levels() -> None:
    """The sample's histogram of a p95 of 10 ms has a mean of 6.2."""
    one = trial(1, "naive_sync", 10.0)
    one["levels"] = [level(10, 10.0, acknowledged=3_000), level(20, 100.0, acknowledged=1_000)]
    assert client_mean(one) == pytest.approx((3 * 6.21 + 62.1) / 4, rel=0.002)
    one["levels"][1]["valid"] = False
    assert client_mean(one) == pytest.approx(6.21, rel=0.002)
    one["levels"][0]["acknowledged"] = 0
    assert client_mean(one) is None


def test_profiles_and_levels_come_in_their_order_and_rates_ascend() -> None:
    made = full()
    made["trials"][-1]["levels"].reverse()
    assert profiles(made) == ["ramp", "spike", "knee"]
    assert [each.name for each in level_ids(made, "spike")] == [
        *("10 users before", "1000 users", "10 users after")
    ]
    rates = [each.name for each in level_ids(made, "knee") if each.name.endswith("/s")]
    assert rates == ["50/s", "100/s", "200/s", "400/s", "800/s"]
    assert users_of(made, LevelId("spike", "1000 users")) == 1000


def test_figures_can_be_those_of_one_profile() -> None:
    made = full()
    assert over_trials(made, "naive_sync", lambda one: one["mean_ms"]["request"], "ramp") == pytest.approx(
        9.0
    )
    assert over_trials(made, "naive_sync", lambda one: one["mean_ms"]["request"], "spike") == pytest.approx(
        18.0
    )


def test_the_knee_of_twins_and_floor() -> None:
    assert [knee(full(), each) for each in ("naive_sync", "async_dedup", "floor")] == [200.0, 800.0, 2_000.0]
    assert knee(results([trial(1, "naive_sync", 10.0)]), "floor") is None


def test_a_third_implementation_is_one_more_subject_and_costs_nothing_known() -> None:
    third = other(trial(1, "other", 5.0))
    made = results([trial(1, "naive_sync", 10.0), third])
    assert subjects(made) == ["naive_sync", "other", "floor"]
    assert ends(made) == ("naive_sync", "other")
    assert server_per_thousand(third) is None


def test_failures_are_summed_by_kind() -> None:
    made = of(10.0, 10.0, requests=1)
    made["trials"][0]["levels"][0]["failed"] = {"500": 0, "503": 2}
    made["trials"][1]["levels"][0]["failed"] = {"503": 1, "timeout": 3}
    assert failures(made, "naive_sync", TEN) == {"503": 3, "timeout": 3}
