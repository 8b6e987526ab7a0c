"""The spool's files: what is whole is found again, whatever stands around it, and a bound is kept."""

import errno
import fcntl
import json
import os
import resource
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from async_dedup import spool
from async_dedup.spool import Record, Spool, SpoolFull, files, held, pack, record_of, unpack
from tests.parts import event

MOST = 2**20


def record(name: str, events: int = 1) -> Record:
    return record_of(name, [(events, event(f"{name} ÿ\n", "trace")), (2, event("other"))])


RECORDS = [record("a"), record("b", 7), record("c")]


def read(folder: Path) -> list[Record | bytes]:
    """All that nobody holds."""
    found: list[Record | bytes] = []
    for path in files(folder):
        with held(path) as data:
            found += unpack(data) if data is not None else []
    return found


def test_what_was_appended_is_read_in_order_once_its_file_is_left(tmp_path: Path) -> None:
    spooled = Spool(tmp_path / "spool", MOST)
    for each in RECORDS:
        spooled.append(each)
    assert read(tmp_path / "spool") == []  # its writer holds it
    spooled.close()
    assert read(tmp_path / "spool") == RECORDS
    assert RECORDS[1].batch.counts[event("b ÿ\n").fingerprint] == 7


def test_the_files_are_closed_to_others(tmp_path: Path) -> None:
    Spool(tmp_path / "spool", MOST).append(RECORDS[0])
    (path,) = files(tmp_path / "spool")
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_torn_record_hides_none_of_the_others() -> None:
    first, second, third = map(pack, RECORDS)
    for cut in range(1, len(second)):
        assert [*unpack(first + second[:cut] + third)] == [RECORDS[0], RECORDS[2]]
        assert [*unpack(first + second[:cut])] == [RECORDS[0]]


@settings(max_examples=200)
@given(at=st.integers(0), flipped=st.integers(1, 255))
def test_a_byte_that_has_changed_loses_its_record_only(at: int, flipped: int) -> None:
    packed = [*map(pack, RECORDS)]
    data = bytearray(b"".join(packed))
    at %= len(data)
    data[at] ^= flipped
    ends = [sum(map(len, packed[: number + 1])) for number in range(3)]
    hit = next(number for number, end in enumerate(ends) if at < end)
    assert [*unpack(bytes(data))] == [each for number, each in enumerate(RECORDS) if number != hit]


def test_what_is_no_record_is_skipped_and_told(caplog: pytest.LogCaptureFixture) -> None:
    assert [*unpack(b"garbage" + spool.MAGIC + pack(RECORDS[0]))] == [RECORDS[0]]
    assert f"{len(b'garbage' + spool.MAGIC)} bytes of a spool file are no record" in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        {"kept_at": "soon"},
        {"id": "i" * 33},
        {"counted": [{"events": 1, "first": {"message": "m" * 501}}]},
        {"counted": None},
    ],
    ids=["a time", "an id that the ledger can't hold", "an event", "no events"],
)
def test_a_record_of_a_version_that_this_one_can_not_read_is_found_as_it_is(
    change: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    other = packed({**written(RECORDS[1]), **change})
    assert [*unpack(pack(RECORDS[0]) + other + pack(RECORDS[2]))] == [RECORDS[0], other, RECORDS[2]]
    assert caplog.text == ""


def test_a_field_of_a_newer_version_is_ignored() -> None:
    """Else to roll it back would lose what it has spooled."""
    newer = written(RECORDS[1])
    for each in (newer, *newer["counted"], *(counted["first"] for counted in newer["counted"])):
        each["release"] = {"of": 2}
    assert [*unpack(packed(newer))] == [RECORDS[1]]


def written(record: Record) -> dict[str, Any]:
    """As it stands in the file, without its head."""
    fields: dict[str, Any] = json.loads(pack(record)[spool.HEAD.size :])
    return fields


def packed(fields: dict[str, Any]) -> bytes:
    body = json.dumps(fields).encode()
    return spool.HEAD.pack(spool.MAGIC, len(body), zlib.crc32(body)) + body


def test_beyond_its_bound_it_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    size = len(pack(RECORDS[0]))
    spooled = Spool(tmp_path, 2 * size)
    spooled.append(RECORDS[0])
    spooled.append(RECORDS[0])
    assert not spooled.has_room()
    with pytest.raises(SpoolFull):
        spooled.append(RECORDS[0])
    spooled.close()
    with pytest.raises(SpoolFull):  # what an earlier process has left counts, too
        Spool(tmp_path, 2 * size).append(RECORDS[0])
    assert read(tmp_path) == [RECORDS[0]] * 2


def test_a_file_ends_where_it_is_large_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "FILE_BYTES", 1)
    spooled = Spool(tmp_path, MOST)
    for each in RECORDS:
        spooled.append(each)
    assert len(files(tmp_path)) == 3
    assert read(tmp_path) == RECORDS


@contextmanager
def small_files(size: int) -> Iterator[None]:
    """As a full disk: a write is cut short, and the next one fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_finds_no_room_on_the_disk_is_no_record_and_hurts_none(tmp_path: Path) -> None:
    spooled = Spool(tmp_path, MOST)
    spooled.append(RECORDS[0])
    with small_files(len(pack(RECORDS[0])) + 20), pytest.raises(OSError, match="File too large"):
        spooled.append(RECORDS[1])
    spooled.append(RECORDS[2])
    spooled.close()
    assert read(tmp_path) == [RECORDS[0], RECORDS[2]]


def test_a_disk_that_is_full_for_long_is_left_no_files(tmp_path: Path) -> None:
    spooled = Spool(tmp_path, MOST)
    with small_files(20):
        for each in RECORDS:
            with pytest.raises(OSError, match="File too large"):
                spooled.append(each)
    assert [*tmp_path.iterdir()] == []
    spooled.append(RECORDS[0])
    spooled.close()
    assert read(tmp_path) == [RECORDS[0]]


def test_a_disk_without_room_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spooled = Spool(tmp_path, MOST)
    assert spooled.has_room()
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000))
    assert not spooled.has_room()


@pytest.mark.parametrize("call", ["fcntl.flock", "os.fsync"])
def test_a_file_that_can_not_be_begun_keeps_no_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    spooled, before = Spool(tmp_path, MOST), descriptors()
    with monkeypatch.context() as patch:
        patch.setattr(call, fail)
        for each in RECORDS:
            with pytest.raises(OSError, match="Input/output error"):
                spooled.append(each)
    assert (descriptors(), [*tmp_path.iterdir()]) == (before, [])
    spooled.append(RECORDS[0])
    spooled.close()
    assert read(tmp_path) == [RECORDS[0]]


def descriptors() -> int:
    return psutil.Process().num_fds()


def test_who_begins_a_file_that_is_replayed_before_it_is_locked_begins_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would otherwise write, and acknowledge, into a file without a name."""
    really = fcntl.flock

    def lock_late(file: int, how: int) -> None:
        monkeypatch.undo()
        (path,) = files(tmp_path)
        with held(path) as data:
            assert data == b""
            spool.remove(path)
        really(file, how)

    monkeypatch.setattr(fcntl, "flock", lock_late)
    spooled, before = Spool(tmp_path, MOST), descriptors()
    spooled.append(RECORDS[0])
    assert descriptors() == before + 1
    spooled.close()
    assert read(tmp_path) == [RECORDS[0]]


def test_a_folder_that_can_not_be_made_is_an_error_and_no_room(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    spooled = Spool(tmp_path / "file" / "spool", MOST)
    assert not spooled.has_room()
    with pytest.raises(OSError, match="Not a directory"):
        spooled.append(RECORDS[0])


def test_a_file_has_one_reader_at_a_time_and_none_once_it_is_removed(tmp_path: Path) -> None:
    spooled = Spool(tmp_path, MOST)
    spooled.append(RECORDS[0])
    spooled.close()
    (path,) = files(tmp_path)
    with held(path) as first, held(path) as second:
        assert (first is None, second) == (False, None)
        spool.remove(path)
    with held(path) as gone:
        assert gone is None


def test_who_opened_a_file_that_is_removed_meanwhile_reads_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spooled = Spool(tmp_path, MOST)
    spooled.append(RECORDS[0])
    spooled.close()
    (path,) = files(tmp_path)
    really = os.open

    def open_late(*arguments: object) -> int:
        file = really(*arguments)  # type: ignore[arg-type]
        path.unlink()
        return file

    monkeypatch.setattr(os, "open", open_late)
    with held(path) as data:
        assert data is None


def test_folders_that_were_made_for_it_are_synced_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = list[Path]()
    monkeypatch.setattr(spool, "sync_folder", synced.append)
    folder = tmp_path / "run" / "spool"
    spooled = Spool(folder, MOST)
    spooled.append(RECORDS[0])
    spooled.close()
    assert {tmp_path, tmp_path / "run", folder} <= {*synced}
