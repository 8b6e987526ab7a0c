"""Where events are kept while real servers are away, slow, full or only half there; and the way back."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from datetime import datetime
from pathlib import Path

import pytest
from redis.exceptions import OutOfMemoryError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from async_dedup import direct
from async_dedup.buffer import Buffer
from async_dedup.group_buffer import GroupBuffer
from async_dedup.ingest import Ingest
from async_dedup.spool import Record, files
from async_dedup.states import ANSWERS, State
from async_dedup.stores import ROOM, Stores, check_room
from loadtests.stack import Stack
from shared.answer import Refused
from shared.event import Event
from shared.settings import Settings
from tests.parts import (
    LIMIT,
    alone,
    commands,
    configured,
    counted,
    drain,
    event,
    frozen,
    full,
    rows,
    servers_up,
    times_seen,
    wait_until,
)

A, B = event("a", "trace of a"), event("b")
TIMEOUT = 0.4


@pytest.fixture(scope="module", autouse=True)
def _alone(stack: Stack) -> Iterator[None]:
    with alone(stack):
        yield


@pytest.fixture
def settings(stack: Stack, tmp_path: Path) -> Iterator[Settings]:
    servers_up(stack)
    stack.reset()
    yield stack.settings.model_copy(update={"spool_folder": tmp_path / "spool", "redis_timeout": TIMEOUT})
    servers_up(stack)


@pytest.fixture
def buffer(stack: Stack) -> Buffer:
    return Buffer(stack.settings)


class Client:
    """Sends events to an ingest, and counts what it was told of them."""

    def __init__(self, settings: Settings) -> None:
        self._buffer = GroupBuffer(settings)
        self.stores = Stores(settings, self._buffer)
        self._ingest = Ingest(self.stores, lambda: None)
        self.acknowledged: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    async def send(self, *events: Event) -> float:
        """Together; returns the seconds until the last answer."""
        began = time.monotonic()
        answers = await asyncio.gather(*map(self._ingest, events), return_exceptions=True)
        for each, answer in zip(events, answers, strict=True):
            assert isinstance(answer, datetime | Refused), answer
            told = self.acknowledged if isinstance(answer, datetime) else self.refused
            told[each.fingerprint] += 1
        return time.monotonic() - began

    async def until(self, true: Callable[[], object]) -> None:
        await asyncio.to_thread(wait_until, true)

    async def lose_redis(self, stack: Stack) -> None:
        """It is killed while no group is in flight: of that one nobody would know."""
        stack.kill("redis")
        await self.until(lambda: self._buffer._link is None or not self._buffer._link.is_open)

    @property
    def state(self) -> State:
        return self.stores.state

    def check(self, recorded: dict[str, int]) -> None:
        """Nothing acknowledged is lost, and nothing that was not sent is counted."""
        for key in recorded.keys() | self.acknowledged.keys():
            least, most = self.acknowledged[key], self.acknowledged[key] + self.refused[key]
            assert least <= recorded.get(key, 0) <= most


@asynccontextmanager
async def client(settings: Settings) -> AsyncIterator[Client]:
    made = Client(settings)
    watching = asyncio.create_task(made.stores.watch())
    try:
        async with asyncio.timeout(3 * LIMIT):
            yield made
    finally:
        watching.cancel()
        await made.stores.close()


def several(name: str, number: int = 30) -> Sequence[Event]:
    return [event(f"{name} {each}") for each in range(number)] + [A]


def test_while_all_is_well_everything_goes_to_redis(
    settings: Settings, buffer: Buffer, engine: Engine
) -> None:
    async def scenario() -> Client:
        async with client(settings) as made:
            await made.send(A, B, A)
            assert made.state is State.REDIS
            return made

    assert asyncio.run(scenario()).acknowledged == counted(buffer) == {A.fingerprint: 2, B.fingerprint: 1}
    assert rows(engine) == {}


def test_without_redis_no_client_notices_anything(stack: Stack, settings: Settings, engine: Engine) -> None:
    async def scenario() -> Client:
        async with client(settings) as made:
            await made.send(A)
            await made.lose_redis(stack)
            for number in range(5):
                await made.send(*several(f"round {number}"))
            assert made.state is State.DIRECT
            assert made.stores.reason.startswith("Redis: ")
            assert len(rows(engine)) == 5 * 30 + 1  # in MySQL before the answer
            stack.start("redis")
            await made.until(lambda: made.state is State.REDIS)
            assert made.stores.reason == ""
            await made.send(A, B)
            return made

    made = asyncio.run(scenario())
    assert made.refused == {}
    drain(Buffer(settings), engine)
    assert times_seen(engine) == made.acknowledged
    assert rows(engine)[A.fingerprint]["stack_trace"] == "trace of a"


def test_a_twin_that_starts_without_redis_keeps_its_first_event(
    stack: Stack, settings: Settings, engine: Engine
) -> None:
    async def scenario() -> Client:
        async with client(settings) as made:
            await made.send(A, B)
            return made

    stack.kill("redis")
    made = asyncio.run(scenario())
    assert (made.refused, times_seen(engine)) == ({}, made.acknowledged)


def test_a_redis_that_freezes_costs_one_group_one_time_out(
    stack: Stack, settings: Settings, buffer: Buffer, engine: Engine
) -> None:
    async def scenario() -> Client:
        async with client(settings) as made:
            await made.send(A)
            with frozen(stack.pid("redis")):
                unlucky = asyncio.create_task(made.send(A, A))
                await asyncio.sleep(TIMEOUT / 4)
                behind = asyncio.create_task(made.send(*several("behind")))
                assert await unlucky >= TIMEOUT
                await behind
                assert made.refused == {A.fingerprint: 2}
                assert made.state is State.DIRECT
                assert await made.send(*several("later")) < TIMEOUT  # nobody waits for a time-out any more
            await made.until(lambda: made.state is State.REDIS)
            await made.send(B)
            return made

    made = asyncio.run(scenario())
    assert made.refused == {A.fingerprint: 2}
    drain(buffer, engine)
    made.check(times_seen(engine))


def test_a_redis_that_takes_no_writes_is_none(stack: Stack, settings: Settings, buffer: Buffer) -> None:
    async def scenario() -> Client:
        async with client(settings) as made:
            await made.send(A)
            with full(buffer.redis):
                await made.send(*several("full"))
                assert "maxmemory" in made.stores.reason
            await made.until(lambda: made.state is State.REDIS)
            buffer.redis.replicaof("127.0.0.1", 1)
            try:
                await made.send(*several("only a replica"))
                assert "read only" in made.stores.reason
            finally:
                buffer.redis.replicaof("NO", "ONE")
            return made

    assert asyncio.run(scenario()).refused == {}


def test_a_redis_that_was_full_is_none_until_it_has_room_again(
    stack: Stack, settings: Settings, buffer: Buffer
) -> None:
    before = configured(buffer.redis, "maxmemory")

    def leave_free(share: float) -> None:
        buffer.redis.config_set("maxmemory", int(buffer.redis.info("memory")["used_memory"] / (1 - share)))

    async def scenario() -> Client:
        async with client(settings) as made:
            await made.send(A)
            with full(buffer.redis):
                await made.send(*several("full"))
                assert made.state is State.DIRECT
                leave_free(ROOM / 2)
                buffer.check_room()  # a write would be taken
                looked = commands(buffer.redis)["append"]
                await made.until(lambda: commands(buffer.redis)["append"] > looked + 2 * ANSWERS)
                assert made.state is State.DIRECT
                leave_free(2 * ROOM)
                await made.until(lambda: made.state is State.REDIS)
            return made

    assert asyncio.run(scenario()).refused == {}
    assert configured(buffer.redis, "maxmemory") == before


@pytest.mark.parametrize(("most", "used", "has_room"), [(0, 5, True), (100, 95, True), (100, 96, False)])
def test_room_is_a_share_of_what_a_redis_may_use(most: int, used: int, has_room: bool) -> None:
    told = f"# Memory\r\nused_memory:{used}\r\nmaxmemory:{most}\r\nmaxmemory_policy:noeviction\r\n".encode()
    with nullcontext() if has_room else pytest.raises(OutOfMemoryError):
        check_room(told)


def test_without_both_events_are_spooled_and_replayed_once_a_store_is_back(
    stack: Stack, settings: Settings, engine: Engine
) -> None:
    async def scenario() -> Client:
        async with client(settings) as made:
            await made.send(A)
            await made.lose_redis(stack)
            stack.kill("mysql")
            await made.send(*several("first"))
            assert made.state is State.SPOOL
            assert made.stores.reason.startswith("MySQL: ")
            for number in range(5):
                await made.send(*several(f"round {number}"))
            stack.start("mysql")
            await made.until(lambda: made.state is State.DIRECT)
            await made.send(B)
            await made.until(lambda: not files(settings.spool_folder))
            stack.start("redis")
            await made.until(lambda: made.state is State.REDIS)
            return made

    made = asyncio.run(scenario())
    assert made.refused == {}
    drain(Buffer(settings), engine)
    assert times_seen(engine) == made.acknowledged


def test_with_redis_back_alone_what_was_spooled_waits_for_mysql(
    stack: Stack, settings: Settings, engine: Engine
) -> None:
    async def scenario() -> Client:
        async with client(settings) as made:
            await made.lose_redis(stack)
            stack.kill("mysql")
            await made.send(*several("spooled"))
            assert made.state is State.SPOOL
            stack.start("redis")
            await made.until(lambda: made.state is State.REDIS)
            await made.send(B)
            assert counted(Buffer(settings)) == {B.fingerprint: 1}
            assert files(settings.spool_folder)
            stack.start("mysql")
            await made.until(lambda: not files(settings.spool_folder))
            return made

    made = asyncio.run(scenario())
    drain(Buffer(settings), engine)
    assert (made.refused, times_seen(engine)) == ({}, made.acknowledged)


def test_a_group_whose_commit_nobody_knows_of_counts_once(
    stack: Stack, settings: Settings, engine: Engine
) -> None:
    """MySQL freezes in the middle, so the group goes on to the spool under the id that MySQL may know."""

    async def scenario() -> Client:
        async with client(settings) as made:
            await made.lose_redis(stack)
            await made.send(A)
            await made.until(lambda: made.state is State.DIRECT)
            with frozen(stack.pid("mysql")):
                await made.send(*several("frozen"))
                assert made.state is State.SPOOL
            await made.until(lambda: made.state is State.DIRECT)
            await made.until(lambda: not files(settings.spool_folder))
            await made.send(B)
            return made

    made = asyncio.run(scenario())
    assert made.refused == {}
    assert times_seen(engine) == made.acknowledged


def test_a_commit_that_came_about_without_an_answer_is_tried_again_and_found(
    settings: Settings, engine: Engine, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = direct.write
    calls = 0

    def write_and_lose_the_answer(engine: Engine, records: Sequence[Record], quotas: None) -> set[str]:
        nonlocal calls
        calls += 1
        folded = really(engine, records, quotas)
        if calls == 1:
            raise SQLAlchemyError("the connection broke while COMMIT was answered")
        return folded

    monkeypatch.setattr(direct, "write", write_and_lose_the_answer)

    async def scenario() -> Client:
        async with client(settings) as made:
            await made.lose_redis(stack)
            await made.send(A, A, B)
            return made

    made = asyncio.run(scenario())
    assert calls == 2
    assert (made.refused, times_seen(engine)) == ({}, made.acknowledged)


def test_a_twin_that_ends_does_not_wait_for_its_replay(stack: Stack, settings: Settings) -> None:
    """A full spool takes minutes, and whoever has asked it to end kills it before that."""

    async def scenario() -> None:
        async with client(settings) as made:
            await made.lose_redis(stack)
            stack.kill("mysql")
            await made.send(A)
            assert made.state is State.SPOOL
        stack.start("mysql")
        assert await asyncio.to_thread(made.stores._replay.run) == 0
        assert files(settings.spool_folder)

    asyncio.run(scenario())


def test_a_spool_that_is_full_refuses(stack: Stack, settings: Settings) -> None:
    async def scenario() -> Client:
        async with client(settings.model_copy(update={"spool_bytes": 1_000})) as made:
            await made.lose_redis(stack)
            stack.kill("mysql")
            assert made.stores.has_room()
            for number in range(10):
                await made.send(event(f"number {number}", "x" * 200))
            return made

    made = asyncio.run(scenario())
    assert made.acknowledged.total() >= 1
    assert made.refused.total() >= 1
    assert made.acknowledged.total() + made.refused.total() == 10


def test_an_event_that_mysql_refuses_does_not_end_the_state(
    stack: Stack, settings: Settings, engine: Engine
) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER refuses BEFORE INSERT ON issues FOR EACH ROW IF NEW.message = 'b' "
            "THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not this one'; END IF"
        )

    async def scenario() -> Client:
        async with client(settings) as made:
            await made.lose_redis(stack)
            for _ in range(8):
                await made.send(B)
            assert made.state is State.DIRECT
            await made.send(A)
            return made

    try:
        made = asyncio.run(scenario())
    finally:
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP TRIGGER refuses")
    assert (made.refused, made.acknowledged) == ({B.fingerprint: 8}, {A.fingerprint: 1})
    assert times_seen(engine) == made.acknowledged
