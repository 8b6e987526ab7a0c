"""The async twin's parts, used without its HTTP side, against the stack's real MySQL and Redis."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import redis
from sqlalchemy import Engine, RowMapping, select

from async_dedup.buffer import Buffer
from async_dedup.digest import digest_all
from async_dedup.entries import Batch, FirstEvent, read_first_events
from async_dedup.fates import Verdict
from async_dedup.flush import flush
from async_dedup.group_buffer import GroupBuffer
from loadtests.stack import Stack
from loadtests.stack.process import spawn
from loadtests.stack.stack import NOTHING
from loadtests.studies.faults.history import History
from shared.db import create_tables, make_background_engine
from shared.event import Event
from shared.fingerprint import fingerprint
from shared.model import Issue
from shared.settings import Settings
from shared.settings import environment as variables
from tests import client

LIMIT = 20.0
"""Seconds to wait for what must come; a test that waits this long has failed."""


@contextmanager
def alone(stack: Stack) -> Iterator[None]:
    """Both servers empty, and no twin; who needs one afterwards starts it."""
    stack.stop_twin("naive_sync")
    stack.stop_twin("async_dedup")
    servers_up(stack)
    create_tables_of(stack)
    stack.reset()
    try:
        yield
    finally:
        stack.stop_twin("async_dedup")
        servers_up(stack)
        stack.reset()


def servers_up(stack: Stack) -> None:
    stack.start("mysql")
    stack.start("redis")


def create_tables_of(stack: Stack) -> None:
    engine = engine_of(stack)
    create_tables(engine)
    engine.dispose()


def engine_of(stack: Stack) -> Engine:
    """As worker and scheduler have it."""
    return make_background_engine(stack.settings)


async def add(settings: Settings, *groups: Sequence[Event]) -> list[int | Verdict]:
    """What `GroupBuffer.add` returns for each group."""
    buffer = GroupBuffer(settings)
    try:
        return [await buffer.add(group) for group in groups]
    finally:
        await buffer.close()


def event(message: str, stack_trace: str | None = None) -> Event:
    return Event.model_validate({"message": message, "stackTrace": stack_trace})


def counted(buffer: Buffer) -> dict[str, int]:
    """Events per fingerprint that the open buffer and all batches hold."""
    counts: dict[str, int] = {}
    for each in [open_buffer(buffer), *(batch.counts for batch in claimed(buffer))]:
        for key, events in each.items():
            counts[key] = counts.get(key, 0) + events
    return counts


def open_buffer(buffer: Buffer) -> dict[str, int]:
    """Events per fingerprint that nobody has claimed yet."""
    fields = buffer.redis.hgetall("hpt:buffer")
    return {name.hex(): int(events) for name, events in fields.items() if name != b"at"}


def first_events(buffer: Buffer) -> list[FirstEvent]:
    """What waits for a digest."""
    return read_first_events(buffer.redis.xrange("hpt:first_events"))[0]


def claimed(buffer: Buffer) -> list[Batch]:
    batches = [buffer.read(batch_id) for batch_id in buffer.batches()]
    return [batch for batch in batches if batch is not None]


def drain(buffer: Buffer, engine: Engine) -> None:
    digest_all(buffer, engine)
    flush(buffer, engine)


def rows(engine: Engine) -> dict[str, RowMapping]:
    """Every issue, also one without a payload, by fingerprint."""
    with engine.connect() as connection:
        found = connection.execute(select(*Issue.__table__.columns)).mappings().all()
    return {row["fingerprint"]: row for row in found}


def times_seen(engine: Engine) -> dict[str, int]:
    return {fingerprint: row["times_seen"] for fingerprint, row in rows(engine).items()}


def wait_until(true: Callable[[], object], limit: float = LIMIT) -> None:
    client.eventually(lambda: bool(true()), "what the test waits for", limit)


def environment(settings: Settings) -> dict[str, str]:
    """Makes a child process use the same servers and ports."""
    return {**os.environ, **variables(settings), "PYTHONPATH": str(Path(__file__).parent.parent)}


@contextmanager
def locked_issue(stack: Stack, message: str) -> Iterator[None]:
    """The issue's row is locked by somebody else, so that whoever writes it has to wait."""
    with closing(stack.mysql.connect()) as connection, connection.cursor() as cursor:
        connection.begin()
        cursor.execute("SELECT id FROM issues WHERE fingerprint = %s FOR UPDATE", [fingerprint(message)])
        assert cursor.rowcount == 1
        try:
            yield
        finally:
            connection.rollback()


def await_acknowledged(history: History, events: int) -> None:
    """Waits for that many more."""
    enough = history.totals["acknowledged"] + events
    wait_until(lambda: history.totals["acknowledged"] >= enough)


@contextmanager
def running(
    settings: Settings, log: Path, *command: str, more: Mapping[str, str] = NOTHING
) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process that is gone at the end of the block, whatever happens in it."""
    own = {**environment(settings), **more}
    process = spawn([sys.executable, *command], log, own, None)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """A process that is there but does not answer.

    It thaws in the end by itself, so that a test of something that waits for it forever fails.
    """
    thaw = threading.Timer(LIMIT, os.kill, (pid, signal.SIGCONT))
    os.kill(pid, signal.SIGSTOP)
    thaw.start()
    try:
        yield
    finally:
        thaw.cancel()
        os.kill(pid, signal.SIGCONT)


@contextmanager
def full(client: "redis.Redis") -> Iterator[None]:
    """A Redis without any room left."""
    before = configured(client, "maxmemory")
    client.config_set("maxmemory", 1)
    try:
        yield
    finally:
        client.config_set("maxmemory", before)


def configured(client: Any, name: str) -> str:
    return str(client.config_get(name)[name])


def commands(client: Any) -> dict[str, int]:
    """Calls of every command since the last CONFIG RESETSTAT, also from inside scripts."""
    return {name.removeprefix("cmdstat_"): s["calls"] for name, s in client.info("commandstats").items()}


def with_quota(settings: Settings, **quota: object) -> Settings:
    """The same settings, and these."""
    return Settings.model_validate({**settings.model_dump(), **quota})


def some(service: str, *messages: str) -> list[Event]:
    return [Event(message=message, service=service) for message in messages]
