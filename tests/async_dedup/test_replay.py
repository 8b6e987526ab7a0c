"""What was spooled becomes rows, each event once, whoever dies or comes twice on the way."""

import signal
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from async_dedup import direct, ledger, spool
from async_dedup.buffer import Buffer
from async_dedup.replay import RECORDS, REFUSED, Replay
from async_dedup.spool import ASIDE, HEAD, MAGIC, Record, Spool, files, record_of
from loadtests.stack import Stack
from shared.answer import now
from shared.db import make_background_engine
from shared.settings import Settings
from tests.parts import alone, event, rows, running, servers_up, times_seen

A, B = event("a", "trace of a"), event("b")
GROUPS = 2 * RECORDS + 5

KILLED = """
import os, signal, sys
from async_dedup import direct, spool
from async_dedup.replay import Replay
from shared.db import make_background_engine
from shared.settings import load

steps = {"write": (direct, "write"), "_write": (direct, "_write"), "remove": (spool, "remove")}
owner, name = steps[sys.argv[1]]
calls, really = int(sys.argv[2]), getattr(owner, name)

def step(*arguments):
    global calls
    calls -= 1
    if not calls:
        os.kill(os.getpid(), signal.SIGKILL)
    return really(*arguments)

setattr(owner, name, step)
settings = load()
Replay(settings.spool_folder, make_background_engine(settings)).run()
"""


@pytest.fixture(scope="module", autouse=True)
def _alone(stack: Stack) -> Iterator[None]:
    with alone(stack):
        yield


@pytest.fixture
def settings(stack: Stack, tmp_path: Path) -> Settings:
    servers_up(stack)
    stack.reset()
    return stack.settings.model_copy(update={"spool_folder": tmp_path / "spool"})


def spooled(settings: Settings, *records: Record) -> None:
    spool = Spool(settings.spool_folder, 2**30)
    for record in records:
        spool.append(record)
    spool.close()


def replay(settings: Settings, **other: object) -> int:
    settings = settings.model_copy(update=other)
    engine = make_background_engine(settings, 2)
    try:
        return Replay(settings.spool_folder, engine).run()
    finally:
        engine.dispose()


def groups(number: int = GROUPS) -> list[Record]:
    return [record_of(f"group{each}", [(2, A), (1, event(f"only {each}"))]) for each in range(number)]


def check(engine: Engine) -> None:
    found = rows(engine)
    assert {key: row["times_seen"] for key, row in found.items()} == {
        A.fingerprint: 2 * GROUPS,
        **{event(f"only {each}").fingerprint: 1 for each in range(GROUPS)},
    }
    assert found[A.fingerprint]["stack_trace"] == "trace of a"
    assert all(row["message"] and row["first_seen"] <= row["last_seen"] for row in found.values())


def test_every_group_is_counted_once_and_its_file_removed(settings: Settings, engine: Engine) -> None:
    spooled(settings, *groups())
    assert replay(settings) == 3 * GROUPS
    check(engine)
    assert files(settings.spool_folder) == []
    assert replay(settings) == 0


def test_a_group_that_mysql_has_already_counts_no_more(settings: Settings, engine: Engine) -> None:
    """Its commit was made, and the answer to it was lost."""
    spooled(settings, *groups())
    for each in groups()[:3]:
        direct.write(engine, [each])
    replay(settings)
    check(engine)


@pytest.mark.parametrize("step", ["write 1", "write 2", "_write 2", "write 3", "remove 1"])
def test_a_replay_that_is_killed_is_done_again(
    settings: Settings, engine: Engine, tmp_path: Path, step: str
) -> None:
    spooled(settings, *groups())
    with running(settings, tmp_path / "log", "-c", KILLED, *step.split()) as process:
        assert process.wait() == -signal.SIGKILL, (tmp_path / "log").read_text()
    assert len(files(settings.spool_folder)) == 1
    replay(settings)
    check(engine)


def test_two_that_replay_at_once_count_once(settings: Settings, engine: Engine) -> None:
    for each in groups():
        spooled(settings, each)
    with ThreadPoolExecutor(4) as several:
        done = [*several.map(lambda _: replay(settings), range(4))]
    assert sum(done) == 3 * GROUPS
    check(engine)


def test_without_mysql_everything_stays_and_keeps_its_time(
    stack: Stack, settings: Settings, engine: Engine
) -> None:
    """Though Redis is there: as batches of a group each it would stand still for whoever sums them up."""
    spooled(settings, *groups())
    kept = now()
    stack.kill("mysql")
    with pytest.raises(OperationalError):
        replay(settings)
    assert len(files(settings.spool_folder)) == 1
    assert Buffer(settings).state().is_empty
    stack.start("mysql")
    assert replay(settings) == 3 * GROUPS
    check(engine)
    assert all(row["last_seen"] <= kept for row in rows(engine).values())


def test_without_an_answer_of_mysql_everything_stays(settings: Settings, silent_port: int) -> None:
    spooled(settings, *groups())
    with pytest.raises(OperationalError):
        replay(settings, mysql_port=silent_port)
    assert len(files(settings.spool_folder)) == 1


def test_where_mysql_goes_in_the_middle_the_file_stays(
    stack: Stack, settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    really, calls = direct.write, count(1)

    def write(*arguments: Any) -> set[str]:
        if next(calls) == 2:
            stack.kill("mysql")
        return really(*arguments)

    spooled(settings, *groups())
    with monkeypatch.context() as patch:
        patch.setattr(direct, "write", write)
        with pytest.raises(OperationalError):
            replay(settings)
    assert len(files(settings.spool_folder)) == 1
    stack.start("mysql")
    replay(settings)
    check(engine)


def test_told_to_stop_it_ends_after_the_transaction_in_its_hands(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    told_at_once, told_later = (Replay(settings.spool_folder, engine) for _ in range(2))
    really = direct.write

    def write(*arguments: Any) -> set[str]:
        told_later.stop()
        return really(*arguments)

    spooled(settings, *groups()[: RECORDS + 1])
    spooled(settings, *groups()[RECORDS + 1 :])
    monkeypatch.setattr(direct, "write", write)
    told_at_once.stop()
    assert told_at_once.run() == 0
    assert told_later.run() == 3 * RECORDS
    assert len(files(settings.spool_folder)) == 2
    replay(settings)
    check(engine)


def test_a_group_that_this_version_can_not_read_is_kept_and_the_rest_goes_on(
    settings: Settings, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """A version that can read it takes it in once the file has its name again."""
    spooled(settings, *groups())
    (path,) = files(settings.spool_folder)
    body = b'{"id": "of another version"}'
    alien = HEAD.pack(MAGIC, len(body), zlib.crc32(body)) + body
    path.write_bytes(alien + path.read_bytes() + alien)
    before = told()
    assert replay(settings) == 3 * GROUPS
    check(engine)
    assert files(settings.spool_folder) == []
    (aside,) = settings.spool_folder.glob(f"*{ASIDE}")
    assert (aside.read_bytes(), aside.stat().st_mode & 0o777) == (2 * alien, 0o600)
    assert told() == before + 2
    assert str(aside) in caplog.text
    aside.rename(path)
    assert replay(settings) == 0
    assert aside.read_bytes() == 2 * alien


def test_where_there_is_no_room_for_what_can_not_be_read_nothing_is_removed(
    settings: Settings, engine: Engine
) -> None:
    spooled(settings, *groups())
    (path,) = files(settings.spool_folder)
    path.write_bytes(path.read_bytes() + HEAD.pack(MAGIC, 0, zlib.crc32(b"")))
    path.with_suffix(ASIDE).mkdir()  # so that no file can be written there
    with pytest.raises(IsADirectoryError):
        replay(settings)
    assert (files(settings.spool_folder), times_seen(engine)) == ([path], {})


def told() -> float:
    return REGISTRY.get_sample_value("set_aside_total", {"kind": "spooled"}) or 0.0


def test_what_mysql_refuses_is_set_aside_and_the_rest_goes_on(settings: Settings, engine: Engine) -> None:
    spooled(settings, *groups(), record_of("odd", [(1, B), (4, event("refused"))]))
    with engine.begin() as connection:
        connection.execute(
            text(
                "CREATE TRIGGER refuses BEFORE INSERT ON issues FOR EACH ROW IF NEW.message = 'refused' "
                "THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not this one'; END IF"
            )
        )
    try:
        replay(settings)
    finally:
        with engine.begin() as connection:
            connection.execute(text("DROP TRIGGER refuses"))
    found = times_seen(engine)
    assert found.pop(B.fingerprint) == 1
    assert event("refused").fingerprint not in found
    assert len(found) == GROUPS + 1
    (line,) = (settings.spool_folder / REFUSED).read_text().splitlines()
    assert "not this one" in line
    assert '"events": 4' in line
    assert files(settings.spool_folder) == []


def test_a_file_that_can_not_be_removed_is_counted_once_however_long_it_stays(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise OSError("Read-only file system")

    spooled(settings, *groups())
    monkeypatch.setattr(spool, "remove", refuse)
    monkeypatch.setattr(ledger, "ROWS", 0)
    for _ in range(3):
        with pytest.raises(OSError, match="Read-only"):
            replay(settings)
        with engine.begin() as connection:  # most of a day later
            connection.execute(text("UPDATE flush_ledger SET applied_at = applied_at - INTERVAL 20 HOUR"))
        ledger.trim(engine, [])
    assert sum(times_seen(engine).values()) == sum(record.events for record in groups())
