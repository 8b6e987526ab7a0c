"""What can't be applied is set aside, once and with its reason, and everything behind it goes on."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import Engine, insert

from async_dedup import set_aside
from async_dedup.buffer import Buffer
from async_dedup.digest import ROWS, digest_all
from async_dedup.flush import flush
from async_dedup.keys import LAST_ID
from loadtests.stack import Stack
from shared.answer import now
from shared.event import Event
from shared.model import Issue
from tests.parts import add, alone, counted, drain, engine_of, event, full, rows, times_seen

A, B, C = event("a", "its trace"), event("b"), event("c")
FIRST_EVENTS, SET_ASIDE = "hpt:first_events", "hpt:set_aside"
AT = b"1700000000000000"

Entry = Mapping[bytes, bytes]


@pytest.fixture(scope="module", autouse=True)
def _alone(stack: Stack) -> Iterator[None]:
    with alone(stack):
        yield


@pytest.fixture
def buffer(stack: Stack) -> Buffer:
    stack.reset()
    return Buffer(stack.settings)


def raw(event: Event) -> bytes:
    return bytes.fromhex(event.fingerprint)


def entry(json: bytes, event: Event = A) -> Entry:
    return {b"fingerprint": raw(event), b"event": json}


def reasons(buffer: Buffer) -> list[tuple[str, str]]:
    """Kind and reason of all that is set aside."""
    return [
        (found[b"kind"].decode(), found[b"reason"].decode()) for _, found in buffer.redis.xrange(SET_ASIDE)
    ]


def told(kind: str) -> float:
    return REGISTRY.get_sample_value("set_aside_total", {"kind": kind}) or 0.0


MALFORMED_ENTRIES: dict[str, tuple[Entry, str]] = {
    "no event": ({b"fingerprint": raw(A)}, "no event"),
    "no fingerprint": ({b"event": b'{"message":"a"}'}, "no fingerprint"),
    "neither": ({b"else": b""}, "no fingerprint"),
    "a short fingerprint": (
        {b"fingerprint": b"ab", b"event": b'{"message":"a"}'},
        "a fingerprint of 2 bytes",
    ),
    "no JSON": (entry(b'{"message":'), "body: Invalid JSON"),
    "not UTF-8": (entry(b'{"message":"\xff"}'), "body: Invalid JSON"),
    "no object": (entry(b"[]"), "body: "),
    "no message": (entry(b'{"service":"shop"}'), "message: Field required"),
    "an empty message": (entry(b'{"message":""}'), "message: "),
    "a message of 501": (
        entry(b'{"message":"%b"}' % (b"m" * 501)),
        "message: String should have at most 500",
    ),
    "a message of another type": (entry(b'{"message":1}'), "message: Input should be a valid string"),
    "a NUL": (entry(b'{"message":"\\u0000"}'), "message: A NUL"),
    "a service of 65": (entry(b'{"message":"m","service":"%b"}' % (b"s" * 65)), "service: "),
    "a time that is none": ({**entry(b'{"message":"a"}'), b"at": b"yesterday"}, "no whole number"),
    "a time beyond all": ({**entry(b'{"message":"a"}'), b"at": b"9" * 18}, "date value out of range"),
}


@pytest.mark.parametrize("name", MALFORMED_ENTRIES)
def test_a_malformed_first_event_holds_nothing_up(
    stack: Stack, buffer: Buffer, engine: Engine, name: str
) -> None:
    malformed, reason = MALFORMED_ENTRIES[name]
    before = told("first_event")
    asyncio.run(add(stack.settings, [B]))
    buffer.redis.xadd(FIRST_EVENTS, malformed)
    asyncio.run(add(stack.settings, [C]))
    drain(buffer, engine)
    assert {row["message"]: row["times_seen"] for row in rows(engine).values()} == {"b": 1, "c": 1}
    ((kind, why),) = reasons(buffer)
    assert (kind, why[: len(reason)]) == ("first_event", reason)
    assert told("first_event") == before + 1
    state = buffer.state()
    assert (state.first_events, state.set_aside) == (0, 1)


def test_an_entry_dated_beyond_all_time_holds_nothing_up(buffer: Buffer, engine: Engine) -> None:
    buffer.redis.xadd(FIRST_EVENTS, entry(b'{"message":"b"}', B), id="1-1")
    buffer.redis.xadd(FIRST_EVENTS, entry(b'{"message":"a"}'), id=f"{2**63}-1")
    digest_all(buffer, engine)
    assert [row["message"] for row in rows(engine).values()] == ["b"]
    assert [kind for kind, _ in reasons(buffer)] == ["first_event"]


def test_an_entry_behind_which_there_is_no_other_holds_nothing_up(
    stack: Stack, buffer: Buffer, engine: Engine
) -> None:
    buffer.redis.xadd(FIRST_EVENTS, entry(b'{"message":"a"}'), id=LAST_ID)
    digest_all(buffer, engine)
    asyncio.run(add(stack.settings, [B]))
    drain(buffer, engine)
    assert {row["message"]: row["times_seen"] for row in rows(engine).values()} == {"b": 1}
    assert [kind for kind, _ in reasons(buffer)] == ["first_event"]


def test_an_entry_of_two_fingerprints_takes_no_count_along(
    stack: Stack, buffer: Buffer, engine: Engine
) -> None:
    """The script sees the first of them, and who reads the entry the last."""
    asyncio.run(add(stack.settings, [A, A]))
    buffer.redis.delete(FIRST_EVENTS)
    words = [word for field in entry(b'{"message":"b"}', B).items() for word in field]
    buffer.redis.execute_command("XADD", FIRST_EVENTS, "*", "fingerprint", raw(A), *words)
    drain(buffer, engine)
    assert times_seen(engine)[A.fingerprint] == 2


def test_more_malformed_entries_than_a_round_takes(stack: Stack, buffer: Buffer, engine: Engine) -> None:
    for _ in range(ROWS + 10):
        buffer.redis.xadd(FIRST_EVENTS, {b"else": b""})
    asyncio.run(add(stack.settings, [A]))
    digest_all(buffer, engine)
    assert [row["message"] for row in rows(engine).values()] == ["a"]
    assert buffer.state().first_events == 0


@pytest.mark.parametrize(
    "written",
    [
        pytest.param({b"event": b'{"message":"a","stackTrace":null,"release":"2.0"}'}, id="a field more"),
        pytest.param({b"event": b'{"message":"a"}'}, id="fields fewer"),
        pytest.param({b"event": b'{"message":"a"}', b"version": b"2"}, id="a field of the entry more"),
    ],
)
def test_an_entry_of_an_older_or_newer_version_is_read(
    buffer: Buffer, engine: Engine, written: Entry
) -> None:
    """While a version is rolled out, both write and both read."""
    buffer.redis.xadd(FIRST_EVENTS, {b"fingerprint": raw(A), **written})
    digest_all(buffer, engine)
    (row,) = rows(engine).values()
    assert (row["message"], row["service"], row["stack_trace"]) == ("a", "default", None)
    assert reasons(buffer) == []


MALFORMED_FIELDS: dict[str, tuple[Entry, list[str]]] = {
    "no time": ({}, ["no time: taken for now"]),
    "a time that is none": ({b"at": b"yesterday"}, ["no whole number", "no time: taken for now"]),
    "a time beyond all": ({b"at": b"9" * 18}, ["", "no time: taken for now"]),
    "a count that is none": ({b"at": AT, raw(A): b"many"}, ["no whole number"]),
    "a count of 0": ({b"at": AT, raw(A): b"0"}, ["no whole number"]),
    "a negative count": ({b"at": AT, raw(A): b"-1"}, ["no whole number"]),
    "a fraction": ({b"at": AT, raw(A): b"1.5"}, ["no whole number"]),
    "what only Python reads": ({b"at": AT, raw(A): b" 1_0 "}, ["no whole number"]),
    "a count of 2^63": ({b"at": AT, raw(A): b"%d" % 2**63}, ["no whole number"]),
    "a count of 5,000 digits": ({b"at": AT, raw(A): b"9" * 5000}, ["no whole number"]),
    "a short fingerprint": ({b"at": AT, b"ab": b"1"}, ["a fingerprint of 2 bytes"]),
}


@pytest.mark.parametrize("name", MALFORMED_FIELDS)
def test_a_malformed_field_holds_neither_its_batch_nor_the_next_up(
    stack: Stack, buffer: Buffer, engine: Engine, name: str
) -> None:
    fields, expected = MALFORMED_FIELDS[name]
    before = told("count")
    put_batch(buffer, "b1", {raw(B): b"2", **fields})
    asyncio.run(add(stack.settings, [C]))
    for _ in range(2):
        flush(buffer, engine)
    assert times_seen(engine) == {B.fingerprint: 2, C.fingerprint: 1}
    found = reasons(buffer)
    assert [kind for kind, _ in found] == ["count"] * len(expected)
    assert [why[: len(start)] for (_, why), start in zip(found, expected, strict=True)] == expected
    assert told("count") == before + len(expected)
    assert buffer.batches() == []


def put_batch(buffer: Buffer, batch_id: str, fields: Entry) -> None:
    buffer.redis.hset(f"hpt:batch:{batch_id}", mapping=fields)
    buffer.redis.rpush("hpt:batches", batch_id)


def test_a_malformed_field_hides_no_other_from_a_reader(stack: Stack, buffer: Buffer) -> None:
    put_batch(buffer, "b1", {raw(A): b"many", raw(B): b"2", b"at": AT})
    asyncio.run(add(stack.settings, [B, C]))
    assert buffer.pending([each.fingerprint for each in (A, B, C)]) == {"": [0, 1, 1], "b1": [0, 2, 0]}


def test_a_batch_without_its_time_is_of_now(buffer: Buffer, engine: Engine) -> None:
    put_batch(buffer, "b1", {raw(B): b"2"})
    before = now()
    flush(buffer, engine)
    assert before <= rows(engine)[B.fingerprint]["last_seen"] <= now()


def test_a_batch_of_nothing_but_its_time_is_dropped(buffer: Buffer, engine: Engine) -> None:
    put_batch(buffer, "b1", {b"at": AT})
    flush(buffer, engine)
    assert (buffer.batches(), reasons(buffer)) == ([], [])


def test_what_is_no_batch_holds_none_up(stack: Stack, buffer: Buffer, engine: Engine) -> None:
    buffer.redis.set("hpt:batch:b1", "no hash")
    buffer.redis.rpush("hpt:batches", "b1", b"\xff", "i" * 33, "")
    put_batch(buffer, "b2", {raw(B): b"1", b"at": AT})
    flush(buffer, engine)
    assert times_seen(engine) == {B.fingerprint: 1}
    assert sorted(reasons(buffer)) == [("batch", "no hash"), *[("batch", "no id of a batch")] * 3]


@contextmanager
def refusing(stack: Stack, what: str) -> Iterator[None]:
    """A MySQL that takes every row but those."""
    with stack.mysql.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TRIGGER twins.refuse BEFORE INSERT ON twins.issues FOR EACH ROW "
            f"IF {what} THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'refused'; END IF"
        )
        try:
            yield
        finally:
            cursor.execute("DROP TRIGGER twins.refuse")


def test_rows_that_mysql_refuses_leave_the_rest_of_their_round(
    stack: Stack, buffer: Buffer, engine: Engine
) -> None:
    events = [event(f"event {number}") for number in range(ROWS)]
    asyncio.run(add(stack.settings, events))
    with refusing(stack, "NEW.message IN ('event 0', 'event 7')"):
        digest_all(buffer, engine)
    assert {row["message"] for row in rows(engine).values()} == {each.message for each in events} - {
        "event 0",
        "event 7",
    }
    assert [kind for kind, _ in reasons(buffer)] == ["first_event"] * 2
    assert all("1644" in why for _, why in reasons(buffer))
    assert buffer.state().first_events == 0


def test_a_round_of_which_mysql_takes_nothing(stack: Stack, buffer: Buffer, engine: Engine) -> None:
    asyncio.run(add(stack.settings, [A]))
    with refusing(stack, "TRUE"):
        digest_all(buffer, engine)
    assert buffer.state().first_events == 0
    assert [kind for kind, _ in reasons(buffer)] == ["first_event"]


def test_a_count_that_overflows_leaves_the_rest_of_its_batch(
    stack: Stack, buffer: Buffer, engine: Engine
) -> None:
    seen = {"service": "", "message": "a", "first_seen": now(), "last_seen": now()}
    with engine.begin() as connection:
        connection.execute(insert(Issue).values(fingerprint=A.fingerprint, times_seen=2**63 - 2, **seen))
    put_batch(buffer, "b1", {raw(A): b"2", raw(B): b"2", raw(C): b"%d" % (2**63 - 1), b"at": AT})
    for _ in range(2):
        flush(buffer, engine)
    assert times_seen(engine) == {A.fingerprint: 2**63 - 2, B.fingerprint: 2, C.fingerprint: 2**63 - 1}
    assert [kind for kind, _ in reasons(buffer)] == ["count"]
    assert buffer.batches() == []


def test_a_failure_that_is_none_of_a_row_sets_nothing_aside(
    stack: Stack, buffer: Buffer, engine: Engine
) -> None:
    asyncio.run(add(stack.settings, [A]))
    with stack.mysql.connect() as connection, connection.cursor() as cursor:
        cursor.execute("RENAME TABLE twins.issues TO twins.moved")
        try:
            for work in (digest_all, flush):
                with pytest.raises(Exception, match="1146"):
                    work(buffer, engine)
        finally:
            cursor.execute("RENAME TABLE twins.moved TO twins.issues")
    assert reasons(buffer) == []
    drain(buffer, engine)
    assert times_seen(engine) == {A.fingerprint: 1}


def test_two_that_find_the_same_note_it_once(stack: Stack, buffer: Buffer) -> None:
    buffer.redis.xadd(FIRST_EVENTS, {b"else": b""})
    put_batch(buffer, "b1", {raw(A): b"many", raw(B): b"2", b"at": AT})
    start = threading.Barrier(4)
    failures: list[BaseException] = []

    def both() -> None:
        own = engine_of(stack)
        try:
            start.wait(10)
            drain(Buffer(stack.settings), own)
        except BaseException as failure:  # noqa: BLE001 - a thread has no other way to tell
            failures.append(failure)
        finally:
            own.dispose()

    threads = [threading.Thread(target=both) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    engine = engine_of(stack)
    assert failures == []
    assert times_seen(engine) == {B.fingerprint: 2}
    assert sorted(kind for kind, _ in reasons(buffer)) == ["count", "first_event"]
    engine.dispose()


def test_a_full_redis_has_room_for_it(stack: Stack, buffer: Buffer, engine: Engine) -> None:
    buffer.redis.xadd(FIRST_EVENTS, {b"else": b""})
    put_batch(buffer, "b1", {raw(A): b"many", raw(B): b"2"})
    asyncio.run(add(stack.settings, [C]))
    with full(buffer.redis):
        drain(buffer, engine)
        assert counted(buffer) == {}
    assert times_seen(engine) == {B.fingerprint: 2, C.fingerprint: 1}
    assert sorted(kind for kind, _ in reasons(buffer)) == ["count", "first_event"]


def test_only_so_much_is_kept(buffer: Buffer, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_aside, "MAX_SET_ASIDE", 3)
    for number in range(5):
        buffer.redis.xadd(FIRST_EVENTS, {b"number": b"%d" % number, b"more": b"x" * 10_000})
    digest_all(buffer, engine)
    kept = [found[b"content"] for _, found in buffer.redis.xrange(SET_ASIDE)]
    assert [content[:15] for content in kept] == [b'{"number": "%d",' % number for number in (2, 3, 4)]
    assert {len(content) for content in kept} == {set_aside.MAX_CONTENT}


def test_the_log_tells_that_but_not_what(
    buffer: Buffer, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    buffer.redis.xadd(FIRST_EVENTS, entry(b'{"message":"secret","service":1}'))
    digest_all(buffer, engine)
    assert "hpt:set_aside" in caplog.text
    assert "secret" not in caplog.text
