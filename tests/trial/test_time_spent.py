"""Where the time of a request went, from real twins' metrics and from made ones."""

import pytest

from loadtests.trial.time_spent import TimeSpent, mean_ms, parse, read
from tests import client

BEFORE = TimeSpent(requests=10, request=1.0, pool=0.1, mysql=0.5)


def test_the_means_are_those_of_the_time_between() -> None:
    after = TimeSpent(requests=20, request=1.2, pool=0.15, mysql=0.6)
    assert mean_ms(BEFORE, after) == pytest.approx({"request": 20.0, "pool": 5.0, "mysql": 10.0})


def test_a_round_trip_is_waited_for_by_each_of_its_group() -> None:
    after = TimeSpent(requests=10, request=0.2, round_trips=2, redis=0.01)
    assert mean_ms(TimeSpent(), after) == pytest.approx({"request": 20.0, "redis": 5.0})


@pytest.mark.parametrize("after", [None, BEFORE, TimeSpent(requests=3)])
def test_a_twin_that_died_or_was_asked_for_nothing_has_no_means(after: TimeSpent | None) -> None:
    assert mean_ms(BEFORE, after) == {}
    assert mean_ms(None, BEFORE) == {}


def test_only_the_route_of_the_events_counts() -> None:
    labels = 'method="POST",status_code="200"'
    assert parse(
        f"""# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_sum{{route="/api/v1/errors/log",{labels}}} 2
http_request_duration_seconds_count{{route="/api/v1/errors/log",{labels}}} 3
http_request_duration_seconds_sum{{route="/metrics",{labels}}} 50
http_request_duration_seconds_count{{route="/metrics",{labels}}} 1
# TYPE mysql_operation_duration_seconds histogram
mysql_operation_duration_seconds_sum{{operation="select"}} 0.5
mysql_operation_duration_seconds_sum{{operation="commit"}} 0.25
mysql_operation_duration_seconds_sum{{operation="checkout"}} 0.125
"""
    ) == TimeSpent(requests=3, request=2, pool=0.125, mysql=0.75)


def test_nobody_there() -> None:
    assert read("http://127.0.0.1:9") is None


@pytest.mark.parametrize(("fixture", "parts"), [("naive_url", ("pool", "mysql")), ("async_url", ("redis",))])
def test_a_real_twin_tells_its_parts(
    fixture: str, parts: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    url = str(request.getfixturevalue(fixture))
    # The statements of a first connection are within the wait for it.
    assert client.log(url, "where does the time go").status == 200
    before = read(url)
    for _ in range(5):
        assert client.log(url, "where does the time go").status == 200
    after = read(url)
    assert before
    assert after
    assert after.requests - before.requests == 5
    means = mean_ms(before, after)
    assert means.keys() == {"request", *parts}
    assert 0 < sum(means[part] for part in parts) < means["request"]
