"""What a Redis or a MySQL that runs does to its clients."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pymysql
import redis
from redis.exceptions import ConnectionError as LostConnection

from async_dedup.digest import QUEUE, digest_queue
from async_dedup.keys import BATCH, BATCHES, BUFFER, FIRST_EVENTS
from loadtests.studies.faults.world import REDIS, Hold, World

HALF_A_TRANSACTION = b"*1\r\n$5\r\nMULTI\r\n*4\r\n$7\r\nHINCRBY\r\n$10\r\nhpt:buffer\r\n$3\r\nabc\r\n$1\r\n"


def redis_told(words: str, then: str = "") -> Hold:
    @contextmanager
    def hold(world: World) -> Iterator[None]:
        with suppress(redis.ResponseError, LostConnection):  # a rewrite runs already; it has cut us off, too
            world.redis.execute_command(*words.split())
        try:
            yield
        finally:
            if then:
                world.redis.execute_command(*then.split())

    return hold


@contextmanager
def torn_file(world: World) -> Iterator[None]:
    """Killed in the middle of a write, Redis leaves half a transaction."""
    world.kill(REDIS)
    newest = max((world.stack.run_dir / "redis" / "appendonlydir").glob("*.incr.aof"), key=os.path.getmtime)
    with newest.open("ab") as file:
        file.write(HALF_A_TRANSACTION[: world.random.randint(1, len(HALF_A_TRANSACTION))])
    yield
    world.start(REDIS)


@contextmanager
def older_file(world: World) -> Iterator[None]:
    """Restored from a copy that is a second old, as from a backup."""
    folder = world.stack.run_dir / "redis" / "appendonlydir"
    copy = folder.with_name("older")
    shutil.copytree(folder, copy)
    world.pause(0.8, 1.2)
    world.kill(REDIS)
    shutil.rmtree(folder)
    copy.rename(folder)
    yield
    world.start(REDIS)


@contextmanager
def malformed_entries(world: World) -> Iterator[None]:
    """One in every structure."""
    odd = os.urandom(8).hex()
    world.redis.xadd(FIRST_EVENTS, {"odd": odd})
    world.redis.hset(BUFFER, f"odd {odd}", "no number")
    world.redis.rpush(BATCHES, f"odd/{odd}")
    world.redis.hset(BATCH + odd, mapping={"odd": "no number"})
    world.redis.rpush(BATCHES, odd)
    world.redis.lpush(f"rq:queue:{QUEUE}", f"no-such-job-{odd}")
    yield


@contextmanager
def failing_job(world: World) -> Iterator[None]:
    """A job that always fails, before those that do not."""
    settings = world.stack.settings
    digest_queue(settings, settings.redis_timeout).enqueue(
        "async_dedup.digest.pause", "no number", at_front=True
    )
    yield


@contextmanager
def connections_killed(world: World) -> Iterator[None]:
    with world.mysql_root() as cursor:
        user = world.stack.settings.mysql_user
        cursor.execute("SELECT id FROM information_schema.processlist WHERE user = %s", (user,))
        for (number,) in cursor.fetchall():
            with suppress(pymysql.err.Error):  # it has just ended by itself
                cursor.execute(f"KILL {int(number)}")
    yield


@contextmanager
def no_connection_left(world: World) -> Iterator[None]:
    """The twin's are killed, and others have all that may be had."""
    settings = world.stack.settings
    with world.mysql_root() as cursor, ExitStack() as held:
        cursor.execute("SET GLOBAL max_connections = 10")
        held.callback(cursor.execute, "SET GLOBAL max_connections = 300")
        with connections_killed(world), suppress(pymysql.err.OperationalError):
            while True:  # until there are too many
                held.enter_context(
                    pymysql.connect(
                        host=settings.mysql_host,
                        port=settings.mysql_port,
                        user=settings.mysql_user,
                        password=settings.mysql_password,
                    )
                )
        yield


def mysql_set(name: str, value: str, normal: str) -> Hold:
    @contextmanager
    def hold(world: World) -> Iterator[None]:
        with world.mysql_root() as cursor:
            cursor.execute(f"SET GLOBAL {name} = {value}")
            try:
                yield
            finally:
                cursor.execute(f"SET GLOBAL {name} = {normal}")

    return hold


def mysql_locked(begin: str, end: str) -> Hold:
    @contextmanager
    def hold(world: World) -> Iterator[None]:
        with world.mysql_root() as cursor:
            for statement in begin.split("; "):
                cursor.execute(statement)
            yield
            cursor.execute(end)

    return hold


@contextmanager
def deadlock(world: World) -> Iterator[None]:
    """Another locks rows from the last to the first; the twin writes them from the first to the last."""
    some = "SELECT id FROM issues ORDER BY fingerprint {} LIMIT 20 FOR UPDATE"
    with world.mysql_root() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(some.format("DESC"))
        yield
        with suppress(pymysql.err.OperationalError):  # the other was let through
            cursor.execute(some.format("ASC"))
        cursor.execute("ROLLBACK")
