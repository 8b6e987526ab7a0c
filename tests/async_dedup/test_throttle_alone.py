"""What a process of the API makes of what its peers tell; without stores."""

import asyncio
import logging
import time

import pytest

from async_dedup.buffer import Buffer
from async_dedup.modes import CYCLE, SILENT
from async_dedup.throttle import Throttle, _every
from shared.event import Event
from shared.quota import MOST_BURSTS, Quotas
from shared.settings import Settings
from tests.parts import wait_until

SHOP = "shop"


def throttle_of(rate: float, burst: int, nodes: int = 2) -> Throttle:
    settings = Settings(rate_limit=rate, rate_burst=burst, workers=nodes)
    return Throttle(settings, Quotas(settings), Buffer(settings))


def arrival(throttle: Throttle) -> float:
    return dict(throttle.buckets)[SHOP].arrival


def test_what_nodes_tell_each_other_does_not_grow_on_its_way() -> None:
    """Else each hop of a message adds its time, and nodes that are far apart let through nothing."""
    made = [throttle_of(rate=1, burst=10) for _ in range(3)]
    made[0].decide([Event(message="a", service=SHOP)] * 3)
    before = arrival(made[0])
    for hop in range(30):
        _, ahead = made[hop % 3]._messages(is_first=True)[SHOP]
        time.sleep(0.1 * CYCLE)
        made[(hop + 1) % 3]._hear(SHOP, 0, ahead)
    assert arrival(made[0]) == before
    assert before - 2 * CYCLE <= min(map(arrival, made)) <= max(map(arrival, made)) == before


@pytest.mark.parametrize("nodes", [2, 12])
def test_a_peer_with_another_quota_makes_nobody_silent_for_its_own_time(nodes: int) -> None:
    """While quotas are changed, process by process."""
    throttle = throttle_of(rate=10, burst=10, nodes=nodes)
    throttle._hear(SHOP, 0, 600.0)
    throttle._hear(SHOP, 10_000, 600.0)
    most = max(nodes, MOST_BURSTS) * (10 / 10 + SILENT * CYCLE)
    assert arrival(throttle) - time.monotonic() <= most
    assert sum(dict(throttle.buckets)[SHOP].heard.values()) <= most  # that Redis is told of


def test_many_peers_that_each_let_a_burst_through_are_believed() -> None:
    throttle = throttle_of(rate=10, burst=10, nodes=12)
    began = time.monotonic()
    for _ in range(11):
        throttle._hear(SHOP, 10, 0.0)
    assert arrival(throttle) - began >= 11 * 10 / 10


def test_work_that_fails_oddly_is_told_of_and_done_again(caplog: pytest.LogCaptureFixture) -> None:
    """Else nothing would be noted any more, of no service."""
    caplog.set_level(logging.ERROR)
    tried = []

    def work() -> None:
        tried.append(time.monotonic())
        raise OverflowError

    async def scenario() -> None:
        task = asyncio.create_task(_every(0.01, work))
        await asyncio.to_thread(wait_until, lambda: len(tried) > 1)
        task.cancel()

    asyncio.run(scenario())
    assert "OverflowError" in caplog.text
