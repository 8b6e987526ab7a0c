"""What the parts of the async twin hold, sampled while something else goes on."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import psutil
import redis
from typing_extensions import TypedDict

from async_dedup import spool
from async_dedup.buffer import Buffer
from loadtests.stack import Stack
from loadtests.stack.roles import ROLES_OF

EVERY = 0.5
"""Seconds between two samples."""
ROLES = ROLES_OF["async_dedup"]


class Held(TypedDict):
    memory: dict[str, int]
    """Resident bytes, of all processes of a role."""
    descriptors: dict[str, int]
    redis_bytes: int
    redis_keys: int
    spool_bytes: int


def look(stack: Stack, buffer: Buffer) -> Held:
    """Of what runs just now: whoever does not is left out."""
    memory, descriptors = {}, {}
    for role in ROLES:
        with suppress(KeyError, psutil.Error):
            parent = psutil.Process(stack.pid(role))
            family = [parent, *parent.children(recursive=True)]
            memory[role] = sum(each.memory_info().rss for each in family)
            descriptors[role] = sum(each.num_fds() for each in family)
    used = keys = 0
    with suppress(redis.RedisError):
        used, keys = buffer.redis.info("memory")["used_memory"], buffer.redis.dbsize()
    return {
        "memory": memory,
        "descriptors": descriptors,
        "redis_bytes": used,
        "redis_keys": keys,
        "spool_bytes": spool.size(stack.settings.spool_folder),
    }


class Peak:
    """The most of each, over the time of a block."""

    def __init__(self) -> None:
        self.memory: dict[str, int] = {}
        self.redis_bytes = 0
        self.spool_bytes = 0

    def add(self, held: Held) -> None:
        for role, size in held["memory"].items():
            self.memory[role] = max(self.memory.get(role, 0), size)
        self.redis_bytes = max(self.redis_bytes, held["redis_bytes"])
        self.spool_bytes = max(self.spool_bytes, held["spool_bytes"])


@contextmanager
def watched(stack: Stack) -> Iterator[Peak]:
    peak, end, buffer = Peak(), threading.Event(), Buffer(stack.settings)

    def watch() -> None:
        while not end.wait(EVERY):
            peak.add(look(stack, buffer))

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            yield peak
        finally:
            end.set()
        watching.result()  # a look that failed must not pass for one that found little
