"""A row that was deleted in MySQL gets its message back, though every API process has sent it long ago."""

import asyncio
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, delete

from async_dedup import wanted
from async_dedup.buffer import Buffer
from async_dedup.digest import digest_all
from async_dedup.fates import Verdict
from async_dedup.flush import flush
from async_dedup.group_buffer import GroupBuffer
from async_dedup.wanted import Missing
from loadtests.stack import Stack
from shared.model import Issue
from tests import client
from tests.parts import LIMIT, add, alone, drain, event, rows, servers_up, wait_until

A, B = event("a", "its trace"), event("b")


@pytest.fixture(scope="module", autouse=True)
def _alone(stack: Stack) -> Iterator[None]:
    with alone(stack):
        yield


@pytest.fixture
def buffer(stack: Stack) -> Iterator[Buffer]:
    stack.reset()
    yield Buffer(stack.settings)
    stack.stop_twin("async_dedup")
    servers_up(stack)


def test_a_busy_issue_that_is_deleted_is_listed_again(stack: Stack, buffer: Buffer, engine: Engine) -> None:
    """And counts from then on, as for the other twin."""
    stack.start_twin("async_dedup")
    url = stack.base_url("async_dedup")

    def listed() -> bool:
        assert client.log(url, "a", stackTrace="its trace").status == 200
        return client.get(url, f"{client.ERRORS}/{A.fingerprint}").status == 200

    wait_until(listed)
    for _ in range(2):
        with engine.begin() as connection:
            connection.execute(delete(Issue))
        assert not listed()
        wait_until(listed)
    assert client.issue(url, A.fingerprint).stackTrace == "its trace"
    wait_until(lambda: buffer.wanted() == set())


def test_a_flush_tells_which_batches_made_rows(stack: Stack, buffer: Buffer, engine: Engine) -> None:
    asyncio.run(add(stack.settings, [A, A, B]))
    assert set(flush(buffer, engine)) == {A.fingerprint, B.fingerprint}
    asyncio.run(add(stack.settings, [A, B, B]))
    assert flush(buffer, engine) == []


def test_only_what_no_first_event_will_bring_is_asked_for(
    stack: Stack, buffer: Buffer, engine: Engine
) -> None:
    missing = Missing(buffer, engine)
    asyncio.run(add(stack.settings, [A, B]))
    missing.look_for(flush(buffer, engine))
    missing.ask()
    assert buffer.wanted() == set()  # both wait for their digest
    digest_all(buffer, engine)
    missing.ask()
    assert buffer.wanted() == set()
    with engine.begin() as connection:
        connection.execute(delete(Issue).where(Issue.fingerprint == A.fingerprint))
    asyncio.run(add(stack.settings, [A, B]))
    buffer.redis.delete("hpt:first_events")  # as if it had been told before
    missing.look_for(flush(buffer, engine))
    missing.ask()
    assert buffer.wanted() == {A.fingerprint}
    asyncio.run(add(stack.settings, [A]))
    drain(buffer, engine)
    missing.ask()
    assert buffer.wanted() == set()
    assert rows(engine)[A.fingerprint]["message"] == "a"


def test_what_never_comes_again_is_not_wanted_for_ever(
    stack: Stack, buffer: Buffer, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = Missing(buffer, engine)
    asyncio.run(add(stack.settings, [A]))
    buffer.redis.delete("hpt:first_events")
    missing.look_for(flush(buffer, engine))
    missing.ask()
    assert buffer.wanted() == {A.fingerprint}
    assert 0 < buffer.redis.ttl("hpt:wanted") <= 60
    begun = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: begun + 2 * 3600)
    missing.ask()
    monkeypatch.undo()
    missing.ask()
    assert missing._flushed == {}


def test_what_is_told_and_still_wanted_is_told_again(
    stack: Stack, buffer: Buffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that was deleted twice within a look is wanted all the while."""
    monkeypatch.setattr(wanted, "INTERVAL", 0.01)
    monkeypatch.setattr(wanted, "AGAIN", 0.1)
    buffer.want({A.fingerprint})
    told_again: list[int | Verdict] = []

    async def scenario() -> None:
        client = GroupBuffer(stack.settings)
        telling = asyncio.create_task(wanted.tell_again(buffer, client))
        async with asyncio.timeout(LIMIT):
            while len(told_again) < 3:
                told_again.append(await client.add([A]))
                while A.fingerprint in client._known:  # noqa: ASYNC110 - nothing of the task is replaced
                    await asyncio.sleep(0.01)
        telling.cancel()
        await client.close()

    asyncio.run(scenario())
    assert told_again == [1, 1, 1]
