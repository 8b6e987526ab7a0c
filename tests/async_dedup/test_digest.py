"""The digest: in any order with the flush, twice or by two at once, the rows are the same."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.exc import DataError, OperationalError, ProgrammingError

from async_dedup import digest as module
from async_dedup.buffer import Buffer, Taken
from async_dedup.digest import ROWS, UPSERT, digest_all, digest_some
from async_dedup.flush import flush
from async_dedup.keys import MAX_TAKEN, MAX_TAKEN_BYTES
from loadtests.stack import Stack
from loadtests.stack.servers import free_port
from loadtests.studies.faults.steps import DIGEST
from shared import listing
from shared.answer import Refused, now
from shared.db import make_background_engine
from shared.event import Event
from tests.async_dedup.killed import kill_at
from tests.parts import (
    add,
    alone,
    counted,
    drain,
    engine_of,
    event,
    first_events,
    open_buffer,
    rows,
    times_seen,
)

A, B = event("a"), event("b")

STEPS = st.lists(
    st.one_of(
        st.lists(st.integers(0, 2), min_size=1, max_size=4),  # a group of events, by fingerprint
        st.sampled_from(["digest", "flush", "claim", "read", "write"]),
    ),
    max_size=15,
)


@pytest.fixture(scope="module", autouse=True)
def _alone(stack: Stack) -> Iterator[None]:
    with alone(stack):
        yield


@pytest.fixture(scope="module")
def engine(stack: Stack) -> Iterator[Engine]:
    engine = engine_of(stack)
    yield engine
    engine.dispose()


@pytest.fixture
def buffer(stack: Stack) -> Buffer:
    stack.reset()
    return Buffer(stack.settings)


class OtherWorker:
    """A second worker that reads, is held up, and writes when the first has long gone on."""

    def __init__(self, buffer: Buffer, engine: Engine) -> None:
        self.buffer = buffer
        self.engine = engine
        self.read_next()

    def read_next(self) -> None:
        self._taken = self.buffer.take(ROWS)

    def write(self) -> None:
        late = Buffer.__new__(Buffer)
        late.__dict__ = {**self.buffer.__dict__, "take": lambda _: self._taken}
        digest_some(late, self.engine)


@settings(
    max_examples=60,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS)
def test_rows_do_not_depend_on_the_order_of_digest_and_flush(
    stack: Stack, buffer: Buffer, engine: Engine, steps: list[list[int] | str]
) -> None:
    example = uuid4().hex  # instead of emptying the tables between examples
    events = [event(f"{example} {number}", f"trace {number}") for number in range(3)]
    other = OtherWorker(buffer, engine)
    do = {
        "digest": lambda: digest_some(buffer, engine),
        "flush": lambda: flush(buffer, engine),
        "claim": buffer.claim,
        "read": other.read_next,
        "write": other.write,
    }
    model: Counter[str] = Counter()
    first: dict[str, tuple[datetime, datetime]] = {}
    last: dict[str, datetime] = {}
    for step in steps:
        if isinstance(step, str):
            do[step]()
            continue
        group = [events[number] for number in step]
        before = now()
        asyncio.run(add(stack.settings, group))
        model.update(each.fingerprint for each in group)
        for each in group:
            first.setdefault(each.fingerprint, (before, now()))
            last[each.fingerprint] = before
    drain(buffer, engine)
    end = now()
    found = {fingerprint: row for fingerprint, row in rows(engine).items() if example in row["message"]}
    assert {fingerprint: row["times_seen"] for fingerprint, row in found.items()} == model
    for each in events:
        if row := found.get(each.fingerprint):
            assert (row["message"], row["stack_trace"]) == (each.message, each.stack_trace)
            earliest, latest = first[each.fingerprint]
            assert earliest <= row["first_seen"] <= latest
            assert last[each.fingerprint] <= row["last_seen"] <= end


def test_a_count_before_its_payload_is_not_listed(stack: Stack, buffer: Buffer, engine: Engine) -> None:
    seen = event("seen", "its trace")
    asyncio.run(add(stack.settings, [seen, seen]))
    flush(buffer, engine)
    assert rows(engine)[seen.fingerprint]["times_seen"] == 2
    assert listing.page(engine, listing.Query()).issues == []
    with pytest.raises(Refused) as refused:
        listing.one(engine, seen.fingerprint)
    assert refused.value.status == 404
    digest_all(buffer, engine)
    issue = listing.one(engine, seen.fingerprint)
    assert (issue.message, issue.stackTrace, issue.times_seen) == ("seen", "its trace", 2)


def test_the_counts_come_along_and_leave_the_flush_what_came_again(
    stack: Stack, buffer: Buffer, engine: Engine
) -> None:
    once, again, known = event("once"), event("again"), event("known")
    asyncio.run(add(stack.settings, [known]))
    drain(buffer, engine)
    asyncio.run(add(stack.settings, [once, again, again, event("again", "its trace")]))
    buffer.redis.hincrby("hpt:buffer", bytes.fromhex(known.fingerprint), 2)  # no payload, as known
    digest_all(buffer, engine)
    assert counted(buffer) == {known.fingerprint: 2}
    assert times_seen(engine) == {once.fingerprint: 1, again.fingerprint: 3, known.fingerprint: 1}
    flush(buffer, engine)
    assert times_seen(engine) == {once.fingerprint: 1, again.fingerprint: 3, known.fingerprint: 3}


def test_two_payloads_of_a_fingerprint_bring_its_count_once(
    stack: Stack, buffer: Buffer, engine: Engine
) -> None:
    for trace in (None, "its trace"):  # through two API processes
        asyncio.run(add(stack.settings, [event("seen", trace)]))
    assert len(first_events(buffer)) == 2
    digest_all(buffer, engine)
    ((row),) = rows(engine).values()
    assert (row["times_seen"], row["stack_trace"]) == (2, "its trace")


def test_where_flushes_are_behind_the_counts_stay(stack: Stack, buffer: Buffer, engine: Engine) -> None:
    """Else each digest that fails would leave one batch more, for as long as MySQL is away."""
    for number in range(MAX_TAKEN):
        asyncio.run(add(stack.settings, [event(f"behind {number}")]))
        buffer.claim()
    asyncio.run(add(stack.settings, [event("seen")]))
    digest_all(buffer, engine)
    assert len(buffer.batches()) == MAX_TAKEN
    assert open_buffer(buffer) == {event("seen").fingerprint: 1}
    assert {row["message"]: row["times_seen"] for row in rows(engine).values()}["seen"] == 0
    flush(buffer, engine)
    assert set(times_seen(engine).values()) == {1}
    assert len(rows(engine)) == MAX_TAKEN + 1


def test_a_mysql_that_refuses_for_long_is_left_no_more_batches(
    stack: Stack, buffer: Buffer, engine: Engine
) -> None:
    with stack.mysql.connect() as connection, connection.cursor() as cursor:
        cursor.execute("RENAME TABLE twins.issues TO twins.moved")
        try:
            for number in range(2 * MAX_TAKEN):
                asyncio.run(add(stack.settings, [event(f"event {number}")]))
                with pytest.raises(ProgrammingError):
                    digest_all(buffer, engine)
        finally:
            cursor.execute("RENAME TABLE twins.moved TO twins.issues")
    assert len(buffer.batches()) == MAX_TAKEN
    drain(buffer, engine)
    assert {row["message"]: row["times_seen"] for row in rows(engine).values()} == {
        f"event {number}": 1 for number in range(2 * MAX_TAKEN)
    }


@pytest.mark.parametrize("then", ["digest", "flush"])
@pytest.mark.parametrize(
    "step", ["not taken yet", "taken", "in the transaction", "committed", "emptied", "dropped"]
)
def test_a_digest_that_was_killed_is_finished_by_whoever_comes_next(
    stack: Stack, engine: Engine, tmp_path: Path, step: str, then: str
) -> None:
    stack.reset()
    buffer = Buffer(stack.settings)
    asyncio.run(add(stack.settings, [A, A, B]))
    kill_at(stack.settings, tmp_path, "digest", DIGEST.get(step, DIGEST["committed"]))
    if step in ("emptied", "dropped"):  # what is sent at once may arrive by halves
        (batch_id,) = buffer.batches()
        buffer.redis.unlink(f"hpt:batch:{batch_id}")
        if step == "dropped":
            buffer.redis.lrem("hpt:batches", 1, batch_id)
    in_mysql = {A.fingerprint: 2, B.fingerprint: 1}
    assert times_seen(engine) == (in_mysql if step in ("committed", "emptied", "dropped") else {})
    assert counted(buffer) == ({} if step in ("emptied", "dropped") else in_mysql)
    assert len(first_events(buffer)) == 2
    asyncio.run(add(stack.settings, [A]))
    works = [digest_all, flush]
    for work in works if then == "digest" else reversed(works):
        work(buffer, engine)
    assert {row["message"]: row["times_seen"] for row in rows(engine).values()} == {"a": 3, "b": 1}
    assert (counted(buffer), buffer.batches(), first_events(buffer)) == ({}, [], [])


@pytest.mark.parametrize("faster", [False, True])
def test_a_flush_that_finds_the_batch_of_a_digest_at_work_counts_nothing_twice(
    stack: Stack, buffer: Buffer, engine: Engine, monkeypatch: pytest.MonkeyPatch, faster: bool
) -> None:
    make_durable = module._make_durable

    def beside_a_flush(*arguments: Any) -> bool:
        if faster:
            flush(buffer, engine)
            return make_durable(*arguments)
        with_counts = make_durable(*arguments)
        flush(buffer, engine)
        return with_counts

    asyncio.run(add(stack.settings, [A, A, B]))
    monkeypatch.setattr(module, "_make_durable", beside_a_flush)
    digest_some(buffer, engine)
    assert {row["message"]: row["times_seen"] for row in rows(engine).values()} == {"a": 2, "b": 1}
    assert (counted(buffer), buffer.batches(), first_events(buffer)) == ({}, [], [])


@pytest.mark.parametrize("traces", [("kept", None), ("kept", "too late"), (None, "kept")])
def test_the_first_stack_trace_is_kept(
    stack: Stack, buffer: Buffer, engine: Engine, traces: tuple[str | None, str | None]
) -> None:
    for trace in traces:
        asyncio.run(add(stack.settings, [event("seen", trace)]))
        drain(buffer, engine)
    (row,) = rows(engine).values()
    assert (row["stack_trace"], row["times_seen"]) == ("kept", 2)


def test_only_the_events_that_were_read_are_trimmed(stack: Stack, buffer: Buffer, engine: Engine) -> None:
    events = [event(f"event {number}") for number in range(ROWS + 1)]
    asyncio.run(add(stack.settings, events))
    assert len(digest_some(buffer, engine).events) == ROWS
    assert [first.event for first in first_events(buffer)] == [events[-1]]
    assert len(digest_some(buffer, engine).events) == 1
    assert digest_some(buffer, engine).events == []
    assert len(rows(engine)) == ROWS + 1


def test_first_events_of_the_largest_size_are_taken_a_few_at_a_time(
    stack: Stack, buffer: Buffer, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """500 of them are more than Redis sends in its time: each digest would fail like the first."""
    events = [event(f"event {number}", "\1" * 43_000) for number in range(50)]
    size = len(events[-1].model_dump_json(by_alias=True))
    asyncio.run(add(stack.settings, events[:25], events[25:]))
    rounds: list[int] = []

    def counted_round(buffer: Buffer, engine: Engine) -> Taken:
        taken = digest_some(buffer, engine)
        rounds.append(len(taken.events))
        return taken

    monkeypatch.setattr(module, "digest_some", counted_round)
    digest_all(buffer, engine)
    assert sum(rounds) == len(events)
    assert max(rounds) * size < 2.5 * MAX_TAKEN_BYTES
    assert {(row["stack_trace"], row["times_seen"]) for row in rows(engine).values()} == {("\1" * 43_000, 1)}
    assert (len(rows(engine)), counted(buffer), first_events(buffer)) == (len(events), {}, [])


class Killed(Exception):
    """Ends a digest where a kill would."""


def test_a_job_leaves_what_comes_in_meanwhile_to_the_next(
    stack: Stack, buffer: Buffer, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROWS", 2)
    asyncio.run(add(stack.settings, [event(f"early {number}") for number in range(5)]))
    rounds: list[int] = []

    def then_one_comes_in(buffer: Buffer, engine: Engine) -> Taken:
        taken = digest_some(buffer, engine)
        rounds.append(len(taken.events))
        if len(rounds) == 3:
            asyncio.run(add(stack.settings, [event("late")]))
        return taken

    monkeypatch.setattr(module, "digest_some", then_one_comes_in)
    digest_all(buffer, engine)
    assert rounds == [2, 2, 1]
    assert [first.event.message for first in first_events(buffer)] == ["late"]


def test_a_digest_that_ends_before_its_trim_is_done_again(
    stack: Stack, buffer: Buffer, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_: object) -> None:
        raise Killed

    asyncio.run(add(stack.settings, [event("seen", "its trace")]))
    flush(buffer, engine)
    with monkeypatch.context() as patch:
        patch.setattr(Buffer, "finish", kill)
        with pytest.raises(Killed):
            digest_some(buffer, engine)
    once = rows(engine)
    assert len(digest_some(buffer, engine).events) == 1
    assert rows(engine) == once
    assert digest_some(buffer, engine).events == []


def test_workers_at_once_give_the_rows_of_one(stack: Stack, buffer: Buffer, engine: Engine) -> None:
    events = [event(f"event {number}", f"trace {number}") for number in range(4 * ROWS)]
    asyncio.run(add(stack.settings, events[::2], events[1::2]))
    start = threading.Barrier(3)
    failures: list[BaseException] = []

    def worker() -> None:
        own = engine_of(stack)
        try:
            start.wait(10)
            digest_all(Buffer(stack.settings), own)
        except BaseException as failure:  # noqa: BLE001 - a thread has no other way to tell
            failures.append(failure)
        finally:
            own.dispose()

    threads = [threading.Thread(target=worker) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    flush(buffer, engine)
    found = {
        fingerprint: (row["message"], row["stack_trace"], row["times_seen"])
        for fingerprint, row in rows(engine).items()
    }
    assert failures == []
    assert found == {each.fingerprint: (each.message, each.stack_trace, 1) for each in events}
    assert buffer.state().first_events == 0


def test_a_digest_without_mysql_loses_nothing(stack: Stack, buffer: Buffer, engine: Engine) -> None:
    seen: Event = event("seen")
    asyncio.run(add(stack.settings, [seen]))
    stack.kill("mysql")
    with pytest.raises(OperationalError):
        digest_some(buffer, engine)
    assert [first.event for first in first_events(buffer)] == [seen]
    stack.start("mysql")
    assert len(digest_some(buffer, engine).events) == 1
    assert rows(engine)[seen.fingerprint]["message"] == "seen"


def test_a_job_that_mysql_fails_does_not_end_at_once(
    stack: Stack, buffer: Buffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one would come at once, and fail as well."""
    asyncio.run(add(stack.settings, [event("waits")]))
    away = make_background_engine(stack.settings.model_copy(update={"mysql_port": free_port()}))
    monkeypatch.setattr(module, "_parts", lambda: (buffer, away))
    monkeypatch.setattr(module, "AWAY", 0.5)
    began = time.monotonic()
    with pytest.raises(OperationalError):
        module.digest()
    assert time.monotonic() - began >= 0.5
    monkeypatch.setattr(module.Stop, "asked", True)
    monkeypatch.setattr(module, "pause", pytest.fail)  # told to stop, it does
    module._wait(60)


def test_an_error_does_not_tell_the_log_what_clients_sent(buffer: Buffer, engine: Engine) -> None:
    row = {
        "fingerprint": "f" * 65,
        "service": "s",
        "message": "secret",
        "stack_trace": None,
        "times_seen": 0,
        "first_seen": "2026-01-01",
        "last_seen": "2026-01-01",
    }
    with pytest.raises(DataError) as raised, engine.begin() as connection:
        connection.execute(UPSERT, [row])
    assert "secret" not in str(raised.value)
