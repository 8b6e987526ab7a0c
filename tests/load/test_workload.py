"""The events and think times: repeatable, mixed as promised, and accepted by the contract."""

import json
from itertools import islice, pairwise
from statistics import mean, stdev

import pytest

from loadtests.load.workload import (
    MEAN_THINK_SECONDS,
    POOL_SIZE,
    REPEATED,
    Event,
    Mix,
    arrivals,
    events,
    new_events,
    pool,
    repeated_message,
    think_times,
)
from shared.event import parse


def first(number: int, seed: int, user: int) -> list[Event]:
    return list(islice(events(seed, user), number))


def test_the_same_seed_gives_the_same_events() -> None:
    assert first(500, seed=1, user=7) == first(500, seed=1, user=7)


@pytest.mark.parametrize(("seed", "user"), [(2, 7), (1, 8)])
def test_another_seed_or_user_gives_others(seed: int, user: int) -> None:
    assert first(500, seed, user) != first(500, seed=1, user=7)


def test_the_same_seed_gives_the_same_think_times() -> None:
    assert list(islice(think_times(1, 7), 50)) == list(islice(think_times(1, 7), 50))


def test_think_times_do_not_disturb_events() -> None:
    stream, thinking = events(1, 7), think_times(1, 7)
    assert [(next(stream), next(thinking))[0] for _ in range(50)] == first(50, seed=1, user=7)


def test_think_times_have_their_mean() -> None:
    assert mean(islice(think_times(1, 1), 20_000)) == pytest.approx(MEAN_THINK_SECONDS, rel=0.03)


def test_a_mean_of_nothing_is_no_think_time() -> None:
    assert set(islice(think_times(1, 1, mean=0), 10)) == {0}


def test_arrivals_are_repeatable_and_a_poisson_process() -> None:
    """Its gaps have their mean as standard deviation: neither lockstep nor bursts."""
    due = list(islice(arrivals(1, "open-0", rate=50), 20_000))
    assert due == list(islice(arrivals(1, "open-0", rate=50), 20_000))
    assert due != list(islice(arrivals(2, "open-0", rate=50), 20_000))
    gaps = [after - before for before, after in pairwise(due)]
    assert min(gaps) > 0
    assert mean(gaps) == pytest.approx(0.02, rel=0.03)
    assert stdev(gaps) == pytest.approx(0.02, rel=0.05)


def test_seven_in_ten_are_repeated() -> None:
    repeated = set(pool(1))
    assert mean(event in repeated for event in first(20_000, seed=1, user=1)) == pytest.approx(0.7, abs=0.02)


def test_the_pool_is_as_large_as_it_says_and_used_in_full() -> None:
    assert len({event.message for event in pool(1)}) == POOL_SIZE
    assert set(pool(1)) < set(first(5_000, seed=1, user=1))


def test_all_others_are_unique_across_users() -> None:
    repeated = set(pool(1))
    messages = [e.message for user in range(20) for e in first(500, 1, user) if e not in repeated]
    assert len(messages) == len(set(messages))


def test_bodies_say_what_the_event_says_and_are_of_a_real_size() -> None:
    for event in first(200, seed=1, user=1):
        assert json.loads(event.body)["message"] == event.message
        assert 500 < len(event.body) < 1200
        assert parse(event.body).message == event.message


def test_services_report_the_same_errors_as_issues_of_their_own() -> None:
    made = list(islice(events(1, "open-0-shop", service="shop"), 500))
    repeated = {event.message for event in pool(1)}
    for event in made:
        sent = parse(event.body)
        assert (sent.message, sent.service) == (event.message, event.service) == (event.message, "shop")
    assert 200 < sum(event.message in repeated for event in made) < 450
    assert {parse(event.body).service for event in first(50, seed=1, user=1)} == {"default"}


def test_new_events_are_all_new() -> None:
    made = [each for user in ("a", "b") for each in islice(new_events(1, user), 500)]
    assert len({parse(each.body).fingerprint for each in made}) == 1_000
    assert made[:500] == list(islice(new_events(1, "a"), 500))


@pytest.mark.parametrize("mix", [Mix(3), Mix(1_000_000, 100, 100), Mix(100, 500, 65_536)])
def test_a_mix_has_its_fingerprints_and_sizes(mix: Mix) -> None:
    made = list(islice(events(1, 7, mix), 1_000))
    assert made == list(islice(events(1, 7, mix), 1_000))
    parsed = [parse(event.body) for event in made]
    assert [event.message for event in made] == [each.message for each in parsed]
    assert {len((each.stack_trace or "").encode()) for each in parsed} == {mix.trace_bytes}
    assert all(len(each.message) == mix.message_chars or not mix.message_chars for each in parsed)
    repeated = [each.message for each in parsed if each.message.startswith(REPEATED)]
    assert len(repeated) == pytest.approx(700, abs=60)
    if mix.fingerprints == 3:
        assert set(repeated) == {repeated_message(number, mix) for number in range(3)}
