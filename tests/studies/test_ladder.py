"""Every step of the ladder does the whole job: it is faster or slower, but it loses nothing."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from loadtests.stack import Stack
from loadtests.studies.faults.history import load
from loadtests.studies.faults.oracle import judge, recorded
from tests import client
from tests.parts import alone, await_acknowledged, wait_until

STEPS = ("upsert", "group_upsert", "redis_count")


@pytest.fixture(params=STEPS)
def url(stack: Stack, request: pytest.FixtureRequest) -> Iterator[str]:
    with alone(stack):
        stack.start_twin(request.param)
        yield stack.base_url(request.param)
        stack.stop_twin(request.param)


def test_a_request_that_is_not_plain_is_taken_too(url: str) -> None:
    answer = client.post(
        url, b'{"message": "the long way"}', {"Content-Type": "application/json; charset=utf-8"}
    )
    assert answer.status == 200


def test_every_acknowledged_event_is_counted_and_has_its_row(url: str, engine: Engine) -> None:
    with load(url) as users:
        await_acknowledged(users, 500)
    assert users.totals.keys() == {"acknowledged"}
    wait_until(lambda: judge(users, recorded(engine)).is_clean)
