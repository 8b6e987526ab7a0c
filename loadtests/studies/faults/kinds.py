"""The kinds of fault: each is one function that does it once, and has undone it when it returns."""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pymysql
import redis

from async_dedup.buffer import Buffer
from async_dedup.digest import QUEUE
from async_dedup.keys import BATCH, BATCHES, BUFFER, FIRST_EVENTS
from loadtests.stack import Stack

API, WORKER, SCHEDULER = "async_dedup", "worker", "scheduler"


class World:
    """What a fault is done to."""

    def __init__(self, stack: Stack, seed: int) -> None:
        self.stack = stack
        self.random = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self.redis: Any = Buffer(stack.settings).redis

    def pause(self, least: float, most: float) -> None:
        time.sleep(self.random.uniform(least, most))

    @contextmanager
    def mysql_root(self) -> Iterator["pymysql.cursors.Cursor"]:
        """Through the Unix socket, as only the stack's owner can."""
        connection = pymysql.connect(
            unix_socket=str(self.stack.mysql.socket),
            user="root",
            database=self.stack.settings.mysql_database,
            autocommit=True,
        )
        with connection, connection.cursor() as cursor:
            yield cursor


@dataclass(frozen=True)
class Fault:
    name: str
    about: str
    inject: Callable[[World], None]


def _killed(*roles: str) -> Callable[[World], None]:
    def inject(world: World) -> None:
        for role in roles:
            world.stack.kill(role)
        world.pause(0, 0.3)
        world.stack.start(*roles)

    return inject


def _ended(role: str) -> Callable[[World], None]:
    def inject(world: World) -> None:
        world.stack.stop(role)
        world.pause(0, 0.3)
        world.stack.start(role)

    return inject


def _frozen(role: str, least: float, most: float) -> Callable[[World], None]:
    def inject(world: World) -> None:
        pid = world.stack.pid(role)
        os.kill(pid, signal.SIGSTOP)
        try:
            world.pause(least, most)
        finally:
            os.kill(pid, signal.SIGCONT)

    return inject


def _for_a_while(words: str, then: str) -> Callable[[World], None]:
    def inject(world: World) -> None:
        try:
            world.redis.execute_command(*words.split())
            world.pause(0.2, 0.8)
        finally:
            world.redis.execute_command(*then.split())

    return inject


def _pause(world: World) -> None:
    world.redis.client_pause(700)


def _client_kill(world: World) -> None:
    with suppress(redis.ResponseError):
        world.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def _connections_killed(world: World) -> None:
    with world.mysql_root() as cursor:
        user = world.stack.settings.mysql_user
        cursor.execute("SELECT id FROM information_schema.processlist WHERE user = %s", (user,))
        for (number,) in cursor.fetchall():
            with suppress(pymysql.err.Error):  # it has just ended by itself
                cursor.execute(f"KILL {int(number)}")


def _global(name: str, value: str, normal: str) -> Callable[[World], None]:
    def inject(world: World) -> None:
        with world.mysql_root() as cursor:
            try:
                cursor.execute(f"SET GLOBAL {name} = {value}")
                world.pause(0.2, 0.8)
            finally:
                cursor.execute(f"SET GLOBAL {name} = {normal}")

    return inject


def _locked_table(world: World) -> None:
    with world.mysql_root() as cursor:
        cursor.execute("LOCK TABLES issues WRITE, flush_ledger WRITE")
        world.pause(0.2, 1.0)
        cursor.execute("UNLOCK TABLES")


def _locked_rows(world: World) -> None:
    with world.mysql_root() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT id FROM issues LIMIT 50 FOR UPDATE")
        world.pause(0.2, 1.0)
        cursor.execute("ROLLBACK")


def _flushed_scripts(world: World) -> None:
    world.redis.script_flush()


def _rewritten(world: World) -> None:
    with suppress(redis.ResponseError):  # one is running already
        world.redis.bgrewriteaof()


def _poison(world: World) -> None:
    """A malformed entry in every structure."""
    odd = os.urandom(8).hex()
    world.redis.xadd(FIRST_EVENTS, {"odd": odd})
    world.redis.hset(BUFFER, f"odd {odd}", "no number")
    world.redis.rpush(BATCHES, f"odd/{odd}")
    world.redis.hset(BATCH + odd, mapping={"odd": "no number"})
    world.redis.rpush(BATCHES, odd)
    world.redis.lpush(f"rq:queue:{QUEUE}", f"no-such-job-{odd}")


def _both_away(world: World) -> None:
    for role in ("redis", "mysql"):
        world.stack.kill(role)
    world.pause(0.3, 1.5)
    for role in world.random.sample(("redis", "mysql"), 2):
        world.stack.start(role)
        world.pause(0, 0.5)


FAULTS = {
    each.name: each
    for each in (
        Fault("kill-api", "kill -9 of the API", _killed(API)),
        Fault("kill-worker", "kill -9 of the worker", _killed(WORKER)),
        Fault("kill-scheduler", "kill -9 of the scheduler", _killed(SCHEDULER)),
        Fault("kill-redis", "kill -9 of Redis", _killed("redis")),
        Fault("kill-mysql", "kill -9 of MySQL", _killed("mysql")),
        Fault("kill-twin", "kill -9 of API, worker and scheduler", _killed(API, WORKER, SCHEDULER)),
        Fault("kill-both-stores", "kill -9 of Redis and MySQL; back in drawn order", _both_away),
        Fault("term-api", "SIGTERM to the API", _ended(API)),
        Fault("term-worker", "SIGTERM to the worker", _ended(WORKER)),
        Fault("term-scheduler", "SIGTERM to the scheduler", _ended(SCHEDULER)),
        Fault("term-redis", "SIGTERM to Redis", _ended("redis")),
        Fault("term-mysql", "SIGTERM to MySQL", _ended("mysql")),
        Fault("freeze-api", "SIGSTOP of the API, up to 1 s", _frozen(API, 0.1, 1.0)),
        Fault("freeze-worker", "SIGSTOP of the worker, up to 1 s", _frozen(WORKER, 0.1, 1.0)),
        Fault("freeze-scheduler", "SIGSTOP of the scheduler, up to 1 s", _frozen(SCHEDULER, 0.1, 1.0)),
        Fault("freeze-redis", "SIGSTOP of Redis, shorter than the time-out", _frozen("redis", 0.1, 0.9)),
        Fault("freeze-redis-long", "SIGSTOP of Redis, longer than the time-out", _frozen("redis", 2.2, 3.0)),
        Fault("freeze-mysql", "SIGSTOP of MySQL, up to 1 s", _frozen("mysql", 0.1, 1.0)),
        Fault("pause-redis", "CLIENT PAUSE", _pause),
        Fault("drop-clients", "CLIENT KILL of everybody", _client_kill),
        Fault("forget-scripts", "SCRIPT FLUSH", _flushed_scripts),
        Fault(
            "full-redis",
            "maxmemory reached, and raised again",
            _for_a_while("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 1gb"),
        ),
        Fault(
            "replica",
            "Redis is READONLY for a while",
            _for_a_while("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
        ),
        Fault(
            "no-replicas",
            "Redis refuses with NOREPLICAS for a while",
            _for_a_while("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"),
        ),
        Fault("rewrite", "BGREWRITEAOF under load", _rewritten),
        Fault("kill-connections", "MySQL kills every connection of the twins", _connections_killed),
        Fault("read-only", "MySQL is read_only for a while", _global("read_only", "1", "0")),
        Fault("no-connections", "MySQL has no connection left", _global("max_connections", "10", "300")),
        Fault("lock-table", "both tables locked for up to 1 s", _locked_table),
        Fault("lock-rows", "50 rows locked for up to 1 s", _locked_rows),
        Fault("poison", "a malformed entry in every structure of Redis", _poison),
    )
}
"""By name, in the order of the table."""
