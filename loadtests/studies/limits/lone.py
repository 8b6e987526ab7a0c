"""Where the time of a request goes that is alone: each step by itself, at the pace of ten users.

A core that is idle has to wake up, and its caches belong to others; so no step is measured in a tight loop.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import islice

import uvloop
from typing_extensions import TypedDict

from async_dedup.buffer import Buffer
from async_dedup.group_buffer import GroupBuffer
from async_dedup.link import connect, settle
from loadtests.analysis.results import Trial, Turn
from loadtests.load.measured import Level
from loadtests.load.percentiles import percentiles
from loadtests.load.workload import MEAN_THINK_SECONDS, events, think_times
from loadtests.stack import Stack
from loadtests.stack.process import on_cpus
from loadtests.studies.study import Setup, emptied
from loadtests.trial.trial import run_floor, run_trial
from shared.event import parse
from shared.settings import Settings

PROFILE, USERS = "few", 10
CALLS = 800
TIMES = 3
TWIN = "async_dedup"

Percentiles = dict[str, float | None]
Call = Callable[[], Awaitable[object]]


class Lone(TypedDict):
    """Each step contains the one above it, but for the floor; milliseconds."""

    floor: Level
    """Client, loopback, server."""
    ping: Percentiles
    """From the servers' core to Redis and back."""
    counted: Percentiles
    """The same with an event, which Redis counts and writes to its file, without a sync."""
    kept: Percentiles
    """The same, synced."""
    trial: Trial


def lone(setup: Setup, calls: int = CALLS, times: int = TIMES) -> list[Lone]:
    """Return the steps, time by time. Raises StackError and TrialFailed."""
    with setup.stack() as stack:
        return [_lone(setup, stack, calls, each, times) for each in range(1, times + 1)]


def _lone(setup: Setup, stack: Stack, calls: int, number: int, times: int) -> Lone:
    display, seed = setup.display, setup.options.seed
    emptied(stack).dispose()
    display.step(f"{USERS} users: {number} of {times}")
    (floor,), _ = run_floor(stack, PROFILE, seed, display.load)
    redis = Buffer(stack.settings).redis
    with on_cpus(stack.server_cpus()):
        ping = uvloop.run(_ping(stack.settings, calls, seed))
        redis.config_set("appendfsync", "no")
        try:
            counted = uvloop.run(_add(stack.settings, calls, seed))
        finally:
            redis.config_set("appendfsync", "always")
        kept = uvloop.run(_add(stack.settings, calls, seed))
    redis.close()
    trial = run_trial(stack, Turn(PROFILE, number, 1, TWIN), seed, display.load)
    return {"floor": floor, "ping": ping, "counted": counted, "kept": kept, "trial": trial}


async def _ping(settings: Settings, calls: int, seed: int) -> Percentiles:
    link = await connect(settings.redis_host, settings.redis_port)

    async def ping() -> None:
        pong: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        link.call(("PING",), settle(pong))
        await pong

    try:
        return await _timed([ping] * calls, seed)
    finally:
        link.abort()


async def _add(settings: Settings, calls: int, seed: int) -> Percentiles:
    buffer = GroupBuffer(settings)
    sent = [parse(each.body) for each in islice(events(seed, "lone"), calls)]
    try:
        return await _timed([partial(buffer.add, [event]) for event in sent], seed)
    finally:
        await buffer.close()


async def _timed(calls: list[Call], seed: int) -> Percentiles:
    took = []
    for call, seconds in zip(calls, think_times(seed, "lone", MEAN_THINK_SECONDS / USERS), strict=False):
        await asyncio.sleep(seconds)
        began = time.perf_counter()
        await call()
        took.append((time.perf_counter() - began) * 1000)
    return percentiles(took)
