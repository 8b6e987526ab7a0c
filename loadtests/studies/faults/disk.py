"""Disks that are full or fail, and descriptors that run out, by the limits that Linux lets a process have."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from loadtests.studies.faults.steps import SPOOL, environment
from loadtests.studies.faults.world import API, STORES, Hold, World


@contextmanager
def _limited(pid: int, what: int, most: int) -> Iterator[None]:
    before = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (most, before[1]))
    try:
        yield
    finally:
        if psutil.pid_exists(pid):
            resource.prlimit(pid, what, before)


def full(server: str) -> Hold:
    """What it writes beyond 4 KB of a file fails. It may end of it, or not get well again: it begins anew."""

    @contextmanager
    def hold(world: World) -> Iterator[None]:
        with _limited(world.pid(server), resource.RLIMIT_FSIZE, 4_096):
            yield
        if world.is_alive(server):
            world.kill(server)
        world.start(server)

    return hold


@contextmanager
def full_for_spool(world: World) -> Iterator[None]:
    with _limited(world.pid(API), resource.RLIMIT_FSIZE, world.random.randint(0, 4_096)):
        for name in STORES:
            world.kill(name)
        yield
    world.pause(0.2, 0.5)
    world.start(*STORES)


@contextmanager
def spool_not_synced(world: World) -> Iterator[None]:
    """Each sync of the spool fails, with EIO."""
    world.stop(API)
    world.start(API, **environment(SPOOL["written"], "fail", world.random.randint(1, 3)))
    for name in STORES:
        world.kill(name)
    yield
    world.start(*STORES)
    world.stop(API)
    world.start(API)


@contextmanager
def no_descriptor_left(world: World) -> Iterator[None]:
    """For a new connection or file; those that are open are cut off."""
    with _limited(world.pid(API), resource.RLIMIT_NOFILE, 4):
        world.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        yield
