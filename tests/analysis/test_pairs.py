"""What is compared with what, and what is left out."""

from random import Random

import pytest

from loadtests.analysis.pairs import capacity, compare, control
from loadtests.analysis.results import Knee, Trial
from tests.samples import ENOUGH, full, knee_trial, level, other, trial


def alternating(naive: list[float], async_: list[float]) -> list[Trial]:
    """One pair per value."""
    return [
        made
        for pair, (left, right) in enumerate(zip(naive, async_, strict=True), 1)
        for made in (trial(pair, "naive_sync", left), trial(pair, "async_dedup", right))
    ]


def test_the_ratio_is_taken_pair_by_pair() -> None:
    trials = alternating([30.0, 50.0, 20.0], [10.0, 10.0, 20.0])
    (found,) = compare(trials)
    assert (found["profile"], found["level"], found["users"]) == ("ramp", "10 users", 10)
    assert found["twins"] == ["naive_sync", "async_dedup"]
    assert found["p95_ratio"] == {"median": 3.0, "low": 1.0, "high": 5.0, "pairs": 3, "confidence": None}
    assert found["p99_ratio"] == found["p95_ratio"]
    assert found["indistinguishable"] is None


def test_a_pair_with_an_invalid_trial_is_left_out() -> None:
    bad = Trial(**trial(1, "naive_sync", p95=30.0) | {"valid": False})
    assert compare([bad, trial(1, "async_dedup", p95=10.0)]) == []


def test_an_invalid_level_is_left_out_alone() -> None:
    naive, async_ = alternating([30.0], [10.0])
    naive["levels"].append(level(500, p95=900.0))
    async_["levels"].append(level(500, p95=90.0, reasons=["the generator used 95% of its core"]))
    assert [each["users"] for each in compare([naive, async_])] == [10]


def test_equal_levels_of_two_profiles_are_two_comparisons() -> None:
    profiles = ("ramp", "soak")
    trials = [trial(1, twin, 10.0, profile=p) for p in profiles for twin in ("naive_sync", "async_dedup")]
    assert [each["profile"] for each in compare(trials)] == [*profiles]


@pytest.mark.parametrize(
    ("requests", "p95", "p99"),
    [(999, False, False), (1_000, True, False), (4_999, True, False), (5_000, True, True)],
)
def test_a_ratio_needs_enough_requests_of_both(requests: int, p95: bool, p99: bool) -> None:
    trials = alternating([30.0, 30.0], [10.0, 10.0])
    for each in trials:
        each["levels"][0]["acknowledged"] = requests if each["twin"] == "async_dedup" else ENOUGH
    (found,) = compare(trials)
    assert (found["p95_ratio"] is not None, found["p99_ratio"] is not None) == (p95, p99)


def test_the_control_is_each_block_s_first_trial_over_its_second() -> None:
    trials = alternating([30.0, 20.0, 10.0, 20.0, 7.0], [10.0, 10.0, 10.0, 8.0, 7.0])
    naive, async_ = control(trials)
    assert naive["p95_ratio"] == {"median": 1.0, "low": 0.5, "high": 1.5, "pairs": 2, "confidence": None}
    assert (naive["twin"], naive["p95_band"], naive["p99_band"]) == ("naive_sync", 2.0, 2.0)
    assert (async_["twin"], async_["p95_band"]) == ("async_dedup", 1.25)
    (found,) = compare(trials)
    assert found["p95_band"] == 2.0


def test_one_pair_is_no_control() -> None:
    (found,) = compare(alternating([30.0], [10.0]))
    assert control(alternating([30.0], [10.0])) == []
    assert found["p95_band"] is None


def test_equal_twins_are_called_indistinguishable() -> None:
    random, runs = Random(1), 200
    same = 0
    for _ in range(runs):
        drawn = [[random.lognormvariate(3, 0.4) for _ in range(12)] for _ in range(2)]
        same += bool(compare(alternating(*drawn))[0]["indistinguishable"])
    assert same / runs > 0.95
    assert compare(full(12, ratio=3.0)["trials"])[0]["indistinguishable"] is False


def test_the_open_model_is_compared_at_rates_that_both_kept_up_with() -> None:
    """At equal rates only: half of one knee is not half of the other."""
    found = compare([knee_trial(1, "naive_sync", 200, p95=30.0), knee_trial(1, "async_dedup", 800, p95=10.0)])
    assert [(each["level"], each["offered_rps"]) for each in found] == [
        ("50/s", 50),
        ("100/s", 100),
        ("200/s", 200),
    ]


def knee_trials(*knees: tuple[int, int]) -> list[Trial]:
    """Both twins' trials of each pair, by their knees: the naive one's first."""
    return [
        made
        for pair, (naive, async_) in enumerate(knees, 1)
        for made in (
            knee_trial(pair, "naive_sync", naive, 30.0),
            knee_trial(pair, "async_dedup", async_, 10.0),
        )
    ]


def test_a_rate_that_was_too_much_in_one_pair_is_compared_in_none() -> None:
    """Whoever leaves out the bad pairs alone has a better ratio than the truth."""
    trials = knee_trials((400, 800), (200, 800), (400, 800))
    del trials[2]["levels"][4:]  # the climb ended at the rate that was too much
    assert [each["level"] for each in compare(trials)] == ["50/s", "100/s", "200/s"]
    trials[2]["valid"] = False
    assert [each["level"] for each in compare(trials)] == ["50/s", "100/s", "200/s", "400/s"]


def test_the_open_model_s_latency_counts_from_when_a_request_was_due() -> None:
    naive, async_ = knee_trial(1, "naive_sync", 50, p95=30.0), knee_trial(1, "async_dedup", 50, p95=10.0)
    due = naive["levels"][0]["due_latency_ms"]
    assert due is not None
    due["p95"] = 44.0
    (found,) = compare([naive, async_])
    assert found["p95_ratio"] is not None
    assert found["p95_ratio"]["median"] == pytest.approx(4.0)


def test_capacity_is_the_ratio_of_the_knees() -> None:
    trials = knee_trials((200, 800), (400, 800), (200, 600))
    trials[2]["knee"] = Knee(rps=None, limit="p95 of 70 ms")
    (found,) = capacity(trials)
    assert found["twins"] == ["naive_sync", "async_dedup"]
    assert found["knee_ratio"] == {"median": 3.5, "low": 3.0, "high": 4.0, "pairs": 2, "confidence": None}


def test_a_third_implementation_is_compared_with_both() -> None:
    trials = alternating([30.0], [10.0])
    found = compare([*trials, other(trial(1, "other", 15.0))])
    assert {tuple(each["twins"]): each["p95_ratio"] and each["p95_ratio"]["median"] for each in found} == {
        ("naive_sync", "other"): 2.0,
        ("naive_sync", "async_dedup"): 3.0,
        ("other", "async_dedup"): 1.5,
    }
