"""The way from Redis to MySQL without the API: how fast flush and digest are, and what waiting costs.

Redis is filled through `GroupBuffer`, as the API does it, but without HTTP. Flush and digest run in this
process, which is on the servers' core meanwhile, as scheduler and worker would be.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial

from typing_extensions import TypedDict

from async_dedup.buffer import Buffer
from async_dedup.digest import digest_all
from async_dedup.flush import flush
from async_dedup.group_buffer import GroupBuffer
from async_dedup.keys import FIRST_EVENTS
from loadtests.load.workload import pool
from loadtests.stack import Stack
from loadtests.stack.process import on_cpus
from loadtests.studies.study import Setup, emptied
from loadtests.trial.generator import TrialFailed
from loadtests.trial.reconcile import Table, connect
from shared.event import Event, parse
from shared.settings import Settings

SIZES = {10_000: 5, 100_000: 1, 1_000_000: 1}
"""Fingerprints of a flush, and how often it is measured."""
DIGEST = 50_000
"""First events: as many as a job takes."""
DIGESTS = 3
PENDING = 200_000
"""Fingerprints whose memory is measured."""
GROUP = 1_000


class Flush(TypedDict):
    """Fingerprints per second into MySQL."""

    fingerprints: int
    new: float
    existing: float


def flushes(setup: Setup, sizes: Mapping[int, int] = SIZES) -> list[Flush]:
    with setup.stack() as stack:
        return [_flush(stack, size, setup) for size, times in sizes.items() for _ in range(times)]


def _flush(stack: Stack, size: int, setup: Setup) -> Flush:
    buffer, engine = Buffer(stack.settings), emptied(stack)
    rates = []
    for rows in ("new", "existing"):
        setup.display.step(f"flush: {size:,} {rows} rows")
        fill(stack.settings, size)
        buffer.redis.delete(FIRST_EVENTS)  # the digest's
        rates.append(size / _seconds(stack, partial(flush, buffer, engine)))
    engine.dispose()
    _check(stack, rows=size, events=2 * size)
    return {"fingerprints": size, "new": rates[0], "existing": rates[1]}


def digests(setup: Setup, size: int = DIGEST, times: int = DIGESTS) -> list[float]:
    """Return the first events per second into MySQL, with a stack trace each, time by time."""
    rates = []
    with setup.stack() as stack:
        for each in range(1, times + 1):
            setup.display.step(f"digest: {size:,} first events, {each} of {times}")
            buffer, engine = Buffer(stack.settings), emptied(stack)
            fill(stack.settings, size, parse(pool(setup.options.seed)[0].body).stack_trace)
            rates.append(size / _seconds(stack, partial(digest_all, buffer, engine)))
            flush(buffer, engine)  # what the API has sealed meanwhile
            engine.dispose()
            _check(stack, rows=size, events=size)
    return rates


def memory(setup: Setup, size: int = PENDING) -> float:
    """Return the bytes of Redis for each pending fingerprint, its payload not counted."""
    with setup.stack() as stack:
        setup.display.step(f"memory: {size:,} pending fingerprints")
        emptied(stack).dispose()
        buffer = Buffer(stack.settings)
        empty = _used(buffer)
        fill(stack.settings, size)
        buffer.redis.delete(FIRST_EVENTS)
        return (_used(buffer) - empty) / size


def fill(settings: Settings, size: int, stack_trace: str | None = None) -> None:
    """Make `size` fingerprints pending, one event each, whose first events wait."""
    asyncio.run(_fill(settings, size, stack_trace))


async def _fill(settings: Settings, size: int, stack_trace: str | None) -> None:
    buffer = GroupBuffer(settings)
    try:
        for start in range(0, size, GROUP):
            numbers = range(start, min(start + GROUP, size))
            bodies = ({"message": f"pending {each}", "stackTrace": stack_trace} for each in numbers)
            await buffer.add([Event.model_validate(body) for body in bodies])
    finally:
        await buffer.close()


def _seconds(stack: Stack, work: Callable[[], object]) -> float:
    with on_cpus(stack.server_cpus()):
        began = time.perf_counter()
        work()
        return time.perf_counter() - began


def _check(stack: Stack, rows: int, events: int) -> None:
    """What did not arrive was not fast. Raises TrialFailed."""
    with connect(stack.settings) as mysql:
        counts = Table(mysql).counts()
    if (len(counts), counts.total()) != (rows, events):
        found = f"{len(counts)} rows with {counts.total()} events"
        raise TrialFailed(f"{found} are in MySQL instead of {rows} with {events}")


def _used(buffer: Buffer) -> int:
    """Return the bytes of the data alone, without connections and the file's buffers."""
    return int(buffer.redis.info("memory")["used_memory_dataset"])
