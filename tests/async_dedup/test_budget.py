"""The budget as MySQL holds it: in a group's own transaction without Redis, noted by the digest with it."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, text, update

from async_dedup import budget, direct
from async_dedup.budget import Place
from async_dedup.buffer import Buffer
from async_dedup.digest import digest_all
from async_dedup.flush import flush
from async_dedup.group_buffer import GroupBuffer
from async_dedup.keys import NEW_ISSUES
from async_dedup.limits import Limits
from async_dedup.replay import Replay
from async_dedup.scheduler import trim_places
from async_dedup.spool import Record, Spool, files, record_of
from loadtests.stack import Stack
from loadtests.studies.faults.steps import DIGEST
from loadtests.trial.statements import Statements
from shared.answer import now
from shared.event import Event
from shared.metrics import events_folded
from shared.model import Issue, NewIssue, ServiceUse
from shared.quota import MAX_SERVICES, OTHERS, OVERFLOW, Quotas, overflow
from tests.async_dedup.killed import kill_at
from tests.parts import alone, engine_of, rows, some, times_seen, with_quota

SHOP = "shop"


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


def record(name: str, *events: Event) -> Record:
    return record_of(name, [(1, event) for event in events], lambda _: True)


def places(engine: Engine) -> Counter[str]:
    statement = select(NewIssue.service, func.count()).group_by(NewIssue.service)
    with engine.connect() as connection:
        return Counter({service.decode(): number for service, number in connection.execute(statement)})


def placed(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return {*connection.scalars(select(NewIssue.fingerprint))}


def messages(engine: Engine) -> Counter[str]:
    """Events of all services, by message."""
    found = Counter[str]()
    for row in rows(engine).values():
        found[row["message"]] += row["times_seen"]
    return found


def test_a_group_takes_places_as_far_as_there_are_any(stack: Stack, buffer: Buffer, engine: Engine) -> None:
    quotas = Quotas(with_quota(stack.settings, new_issues=2))
    group = record("first", *some(SHOP, "a", "b", "c", "d"), *some("search", "a"))
    folded = direct.write(engine, [group], quotas)
    assert folded == {event.fingerprint for event in some(SHOP, "c", "d")}
    assert messages(engine) == {"a": 2, "b": 1, OVERFLOW: 2}
    assert places(engine) == {SHOP: 2, "search": 1}


def test_the_same_group_once_more_is_told_the_same(stack: Stack, buffer: Buffer, engine: Engine) -> None:
    """Its commit was not answered, say."""
    quotas = Quotas(with_quota(stack.settings, new_issues=1))
    group = record("first", *some(SHOP, "a", "b", "c"))
    assert direct.write(engine, [group], quotas) == direct.write(engine, [group], quotas)
    assert messages(engine) == {"a": 1, OVERFLOW: 2}


def test_an_issue_that_was_known_needs_no_place(stack: Stack, buffer: Buffer, engine: Engine) -> None:
    quotas = Quotas(with_quota(stack.settings, new_issues=1))
    direct.write(engine, [record("before", *some(SHOP, "a", "b", "c"))])
    assert direct.write(engine, [record("first", *some(SHOP, "a", "b", "c", "d", "e"))], quotas) == {
        some(SHOP, "e")[0].fingerprint
    }
    assert messages(engine) == {"a": 2, "b": 2, "c": 2, "d": 1, OVERFLOW: 1}
    assert places(engine) == {SHOP: 1}


def test_a_row_that_only_counts_is_as_new_as_its_place_says(
    stack: Stack, buffer: Buffer, engine: Engine
) -> None:
    """A flush has made it, and the digest has not brought its message."""
    quotas = Quotas(with_quota(stack.settings, new_issues=1))
    a, b = some(SHOP, "a", "b")
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO issues (fingerprint, service, message, times_seen, first_seen, last_seen)"
                " VALUES (:fingerprint, '', '', 1, NOW(6), NOW(6))"
            ),
            [{"fingerprint": a.fingerprint}],
        )
    assert direct.write(engine, [record("first", a, b)], quotas) == {b.fingerprint}


def test_of_processes_at_once_none_takes_a_place_too_many(
    stack: Stack, buffer: Buffer, engine: Engine
) -> None:
    quotas = Quotas(with_quota(stack.settings, new_issues=25))
    together, folded = threading.Barrier(4), list[set[str]]()

    def one(name: int) -> None:
        own = engine_of(stack)
        together.wait()
        for number in range(5):
            events = some(SHOP, *(f"{name} {number} {each}" for each in range(4)))
            folded.append(direct.write(own, [record(f"{name}n{number}", *events)], quotas))
        own.dispose()

    threads = [threading.Thread(target=one, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rows(engine)) == 25 + 1
    assert sum(times_seen(engine).values()) == 80
    assert sum(map(len, folded)) == times_seen(engine)[overflow(SHOP).fingerprint] == 55


def test_a_place_is_free_again_when_the_window_has_passed(
    stack: Stack, buffer: Buffer, engine: Engine
) -> None:
    quotas = Quotas(with_quota(stack.settings, new_issues=1, new_issues_window=2.0))
    direct.write(engine, [record("first", *some(SHOP, "a"))], quotas)
    with engine.begin() as connection:
        connection.execute(update(NewIssue).values(reserved_at=now() - timedelta(seconds=3)))
    assert direct.write(engine, [record("second", *some(SHOP, "a", "b"))], quotas) == set()


def test_who_invents_services_shares_one_budget(stack: Stack, buffer: Buffer, engine: Engine) -> None:
    quotas = Quotas(with_quota(stack.settings, new_issues=1, services={"named": {"new_issues": 2}}))
    with engine.begin() as connection:
        connection.execute(
            ServiceUse.__table__.insert(),  # type: ignore[attr-defined]
            [{"service": b"%d" % each, "arrival": now()} for each in range(MAX_SERVICES)],
        )
    group = record("first", *some("one more", "a"), *some("another", "b"), *some("named", "c", "d"))
    assert direct.write(engine, [group], quotas) == {some("another", "b")[0].fingerprint}
    assert places(engine) == {OTHERS: 1, "named": 2}


def test_the_digest_notes_places_and_gives_back_what_was_not_new(
    stack: Stack, buffer: Buffer, engine: Engine
) -> None:
    settings = with_quota(stack.settings, new_issues=5)
    direct.write(engine, [record("before", *some(SHOP, "a"))])

    async def scenario() -> None:
        client = GroupBuffer(settings, Limits(settings, Quotas(settings), buffer))
        await client.add(some(SHOP, "a", "b"))
        await client.close()

    asyncio.run(scenario())
    assert len(buffer.services()[SHOP].ages) == 2
    flush(buffer, engine)  # makes a row of b that has no message
    digest_all(buffer, engine)
    assert places(engine) == {SHOP: 1}
    (place,) = buffer.redis.zrange(NEW_ISSUES + SHOP, 0, -1)
    assert place.hex() == some(SHOP, "b")[0].fingerprint


@pytest.mark.parametrize("step", DIGEST)
def test_a_digest_that_is_killed_loses_no_place_and_gives_none_back_twice(
    stack: Stack, buffer: Buffer, engine: Engine, tmp_path: Path, step: str
) -> None:
    settings = with_quota(stack.settings, new_issues=5)
    direct.write(engine, [record("before", *some(SHOP, "a"))])

    async def scenario() -> None:
        client = GroupBuffer(settings, Limits(settings, Quotas(settings), buffer))
        await client.add(some(SHOP, "a", "b", "c"))
        await client.close()

    asyncio.run(scenario())
    kill_at(stack.settings, tmp_path, "digest", DIGEST[step])
    digest_all(buffer, engine)
    flush(buffer, engine)
    assert places(engine) == {SHOP: 2}
    assert len(buffer.services()[SHOP].ages) == 2
    assert messages(engine) == {"a": 2, "b": 1, "c": 1}


def test_a_refused_row_gives_its_place_back(stack: Stack, buffer: Buffer, engine: Engine) -> None:
    settings = with_quota(stack.settings, new_issues=5)

    async def scenario() -> None:
        client = GroupBuffer(settings, Limits(settings, Quotas(settings), buffer))
        await client.add(some(SHOP, "a", "refused"))
        await client.close()

    asyncio.run(scenario())
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE issues ADD CONSTRAINT odd CHECK (message <> 'refused')"))
    try:
        digest_all(buffer, engine)
    finally:
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE issues DROP CONSTRAINT odd"))
    assert places(engine) == {SHOP: 1}
    assert len(buffer.services()[SHOP].ages) == 1


def test_what_was_spooled_is_folded_when_it_is_replayed(
    stack: Stack, buffer: Buffer, engine: Engine, tmp_path: Path
) -> None:
    quotas = Quotas(with_quota(stack.settings, new_issues=2))
    spool = Spool(tmp_path, 2**20)
    for number in range(3):
        spool.append(record(f"group{number}", *some(SHOP, f"a{number}", f"b{number}")))
    spool.close()
    assert Replay(tmp_path, engine, quotas).run() == 6
    assert messages(engine) == {"a0": 1, "b0": 1, OVERFLOW: 4}
    assert files(tmp_path) == []


def test_what_redis_took_just_before_mysql_is_told(stack: Stack, buffer: Buffer, engine: Engine) -> None:
    quotas = Quotas(with_quota(stack.settings, new_issues=2))
    a, b, c = some(SHOP, "a", "b", "c")
    told = [Place(a.fingerprint, SHOP, now())]
    budget.tell(engine, told)
    budget.tell(engine, told)
    assert direct.write(engine, [record("first", a, b, c)], quotas) == {c.fingerprint}


def test_places_without_an_issue_and_those_of_long_ago_are_given_back(
    stack: Stack, buffer: Buffer, engine: Engine
) -> None:
    quotas = Quotas(with_quota(stack.settings, new_issues=10, new_issues_window=3_600))
    direct.write(engine, [record("first", *some(SHOP, "a", "b"))], quotas)
    a, b = some(SHOP, "a", "b")
    young, homeless = (Place(each * 64, SHOP, now()) for each in "01")
    budget.tell(engine, [young, homeless])
    with engine.begin() as connection:
        for fingerprint, age in ((b.fingerprint, 3_700), (homeless.fingerprint, 61)):
            connection.execute(
                update(NewIssue)
                .where(NewIssue.fingerprint == fingerprint)
                .values(reserved_at=now() - timedelta(seconds=age))
            )
    for waits_for in (None, 61.0):  # its issue may be in a Redis that is away, or late
        budget.trim(engine, quotas.window, waits_for)
        assert placed(engine) == {a.fingerprint, young.fingerprint, homeless.fingerprint}
    budget.trim(engine, quotas.window, 0.0)
    assert placed(engine) == {a.fingerprint, young.fingerprint}
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(Issue)) == 2


def test_the_scheduler_gives_no_place_back_while_redis_is_away(
    stack: Stack, buffer: Buffer, engine: Engine
) -> None:
    homeless = Place("0" * 64, SHOP, now() - timedelta(seconds=61))
    budget.tell(engine, [homeless])
    stack.kill("redis")
    trim_places(buffer, engine, 3_600)
    assert placed(engine) == {homeless.fingerprint}
    stack.start("redis")
    trim_places(buffer, engine, 3_600)
    assert placed(engine) == set()


def test_who_asks_takes_places_and_hears_what_is_known(stack: Stack, buffer: Buffer, engine: Engine) -> None:
    quotas = Quotas(with_quota(stack.settings, new_issues=3))
    known, before, new, thrown, late, other = some(SHOP, "known", "before", "new", "thrown", "late", "other")
    direct.write(engine, [record("known", known)])
    begin = now()
    budget.tell(engine, [Place(before.fingerprint, SHOP, begin)])
    candidates = {each.fingerprint: SHOP for each in (known, before, new, thrown, late)}
    found = budget.look_up(engine, candidates, {}, {}, quotas).admitted
    assert (found.known, found.placed) == ({known.fingerprint}, {before.fingerprint})
    assert found.taken.keys() == {new.fingerprint, thrown.fingerprint}
    assert found.folded == {late.fingerprint: SHOP}
    assert placed(engine) == {before.fingerprint, new.fingerprint, thrown.fingerprint}
    # What was not needed is free again, in the same breath: no issue's, and none that was asked for since.
    direct.write(engine, [record("new", new)], quotas)
    needless = {before.fingerprint: begin, **found.taken}
    again = budget.look_up(engine, {other.fingerprint: SHOP}, needless, {SHOP: begin}, quotas)
    assert again.admitted.taken.keys() == {other.fingerprint}
    assert placed(engine) == {before.fingerprint, new.fingerprint, other.fingerprint}
    assert [place.fingerprint for place in again.places] == [new.fingerprint]


def test_a_place_of_an_earlier_window_is_none(stack: Stack, buffer: Buffer, engine: Engine) -> None:
    """Its event was never kept; it comes again today, and counts today."""
    quotas = Quotas(with_quota(stack.settings, new_issues=1, new_issues_window=2.0))
    a, b = some(SHOP, "a", "b")
    budget.tell(engine, [Place(a.fingerprint, SHOP, now() - timedelta(seconds=3))])
    assert direct.write(engine, [record("first", a, b)], quotas) == {b.fingerprint}


def test_an_issue_counts_from_when_it_comes(stack: Stack, buffer: Buffer, engine: Engine) -> None:
    """Its place was taken nearly a window ago."""
    quotas = Quotas(with_quota(stack.settings, new_issues=1, new_issues_window=60.0))
    a, b = some(SHOP, "a", "b")
    budget.tell(engine, [Place(a.fingerprint, SHOP, now() - timedelta(seconds=50))])
    began = now()
    assert direct.write(engine, [record("first", a, b)], quotas) == {b.fingerprint}
    with engine.connect() as connection:
        assert connection.scalars(select(NewIssue.reserved_at)).one() >= began


def test_what_another_needs_is_not_given_back(stack: Stack, buffer: Buffer, engine: Engine) -> None:
    """One process took the place, and its event was throttled while another's was on its way."""
    quotas = Quotas(with_quota(stack.settings, new_issues=1))
    a, b = some(SHOP, "a", "b")
    candidates = {a.fingerprint: SHOP}
    thrown = budget.look_up(engine, candidates, {}, {}, quotas).admitted
    assert budget.look_up(engine, candidates, {}, {}, quotas).admitted.placed == {a.fingerprint}
    found = budget.look_up(engine, {b.fingerprint: SHOP}, thrown.taken, {}, quotas)
    assert found.admitted.folded == {b.fingerprint: SHOP}


def test_a_budget_that_was_turned_off_folds_nothing(
    stack: Stack, buffer: Buffer, engine: Engine, tmp_path: Path
) -> None:
    """It was spooled with one, and is replayed without; another service has its own."""
    quotas = Quotas(with_quota(stack.settings, new_issues=1, services={SHOP: {"new_issues": 0}}))
    spool = Spool(tmp_path, 2**20)
    spool.append(record("group", *some(SHOP, "a", "b"), *some("search", "c", "d")))
    spool.close()
    Replay(tmp_path, engine, quotas).run()
    assert messages(engine) == {"a": 1, "b": 1, "c": 1, OVERFLOW: 1}


def test_a_service_that_creates_issues_is_not_idle(stack: Stack, buffer: Buffer, engine: Engine) -> None:
    """Else it would share the others' budget, and so have two."""
    quotas = Quotas(with_quota(stack.settings, new_issues=1, new_issues_window=2.0))
    a, b = some(SHOP, "a", "b")
    direct.write(engine, [record("first", a)], quotas)
    long_ago = now() - timedelta(seconds=63)
    with engine.begin() as connection:
        connection.execute(update(ServiceUse).values(arrival=long_ago))
        connection.execute(update(NewIssue).values(reserved_at=long_ago))
    direct.write(engine, [record("second", b)], quotas)
    budget.trim(engine, quotas.window, 0.0)
    with engine.connect() as connection:
        assert connection.scalars(select(ServiceUse.service)).all() == [SHOP.encode()]


def test_many_places_are_told_at_once(stack: Stack, buffer: Buffer) -> None:
    """A group of events may wait for it; the second time all are there."""
    limits = Limits(stack.settings, Quotas(with_quota(stack.settings, new_issues=1)), buffer)
    many = {f"{each:064x}": SHOP for each in range(10_000)}
    with closing(stack.mysql.connect()) as connection:
        for _ in range(2):
            limits.known.admitted_by_redis(many)
            statements = Statements(connection)
            asyncio.run(limits.tell_places())
            assert statements.count(own=0) < 200
            assert not limits.known.recent


def test_what_is_folded_beside_a_refused_row_is_counted(
    stack: Stack, buffer: Buffer, engine: Engine, tmp_path: Path
) -> None:
    quotas = Quotas(with_quota(stack.settings, new_issues=1))
    spool = Spool(tmp_path, 2**20)
    spool.append(record("group", *some(SHOP, "refused", "a", "b")))
    spool.close()
    before = events_folded._value.get()
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE issues ADD CONSTRAINT odd CHECK (message <> 'refused')"))
    try:
        Replay(tmp_path, engine, quotas).run()
    finally:
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE issues DROP CONSTRAINT odd"))
    assert messages(engine) == {"a": 1, OVERFLOW: 1}
    assert events_folded._value.get() - before == 1
