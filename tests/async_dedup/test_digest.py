"""The digest: in any order with the flush, twice or by two at once, the rows are the same."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.exc import DataError, OperationalError

from async_dedup import digest as module
from async_dedup.buffer import Buffer
from async_dedup.digest import ROWS, UPSERT, digest_all, digest_some
from async_dedup.flush import flush
from loadtests.stack import Stack
from shared import listing
from shared.answer import Refused, now
from shared.event import Event
from tests.parts import add, alone, drain, engine_of, event, rows

MILLISECOND = timedelta(milliseconds=1)
"""A first event's time is that of its entry in the stream, which is cut to milliseconds."""

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
        self._events = self.buffer.first_events(ROWS)

    def write(self) -> None:
        late = Buffer.__new__(Buffer)
        late.__dict__ = {**self.buffer.__dict__, "first_events": lambda _: self._events}
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
            assert earliest - MILLISECOND <= row["first_seen"] <= latest
            assert last[each.fingerprint] - MILLISECOND <= row["last_seen"] <= end


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


def test_a_row_of_the_digest_alone_counts_nothing_yet(stack: Stack, buffer: Buffer, engine: Engine) -> None:
    seen = event("seen")
    asyncio.run(add(stack.settings, [seen]))
    digest_all(buffer, engine)
    assert rows(engine)[seen.fingerprint]["times_seen"] == 0


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
    assert digest_some(buffer, engine) == ROWS
    assert [first.event for first in buffer.first_events(10)] == [events[-1]]
    assert digest_some(buffer, engine) == 1
    assert digest_some(buffer, engine) == 0
    assert len(rows(engine)) == ROWS + 1


class Killed(Exception):
    """Ends a digest where a kill would."""


def test_a_job_leaves_what_comes_in_meanwhile_to_the_next(
    stack: Stack, buffer: Buffer, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROWS", 2)
    asyncio.run(add(stack.settings, [event(f"early {number}") for number in range(5)]))
    rounds: list[int] = []

    def then_one_comes_in(buffer: Buffer, engine: Engine) -> int:
        rounds.append(digest_some(buffer, engine))
        if len(rounds) == 3:
            asyncio.run(add(stack.settings, [event("late")]))
        return rounds[-1]

    monkeypatch.setattr(module, "digest_some", then_one_comes_in)
    digest_all(buffer, engine)
    assert rounds == [2, 2, 1]
    assert [first.event.message for first in buffer.first_events(10)] == ["late"]


def test_a_digest_that_ends_before_its_trim_is_done_again(
    stack: Stack, buffer: Buffer, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_: object) -> None:
        raise Killed

    asyncio.run(add(stack.settings, [event("seen", "its trace")]))
    flush(buffer, engine)
    with monkeypatch.context() as patch:
        patch.setattr(Buffer, "trim", kill)
        with pytest.raises(Killed):
            digest_some(buffer, engine)
    once = rows(engine)
    assert digest_some(buffer, engine) == 1
    assert rows(engine) == once
    assert digest_some(buffer, engine) == 0


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
    assert [first.event for first in buffer.first_events(10)] == [seen]
    stack.start("mysql")
    assert digest_some(buffer, engine) == 1
    assert rows(engine)[seen.fingerprint]["message"] == "seen"


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
