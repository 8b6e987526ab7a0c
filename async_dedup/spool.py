"""The last resort: groups in append-only files, each on disk before it is answered.

A record is MAGIC, the length of its body, the body's CRC-32, and the body, JSON. What a crash has torn is
recognised and skipped; what is whole and of another version is kept. A file is written by one process, which
holds its lock; one that nobody holds is replayed (`replay.py`) and removed.
"""

import fcntl
import logging
import os
import shutil
import struct
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated
from uuid import uuid4

from pydantic import BaseModel, Field, ValidationError

from async_dedup.entries import LEDGER_ID, Batch
from shared.answer import now
from shared.event import Event

log = logging.getLogger(__name__)

MAGIC = b"\xffHPT"
"""Begins with a byte that no UTF-8 has, so that no body holds one."""
HEAD = struct.Struct(">4sII")
SUFFIX = ".spool"
ASIDE = ".aside"
"""Of a file with what this version can't read; one that can takes it in, renamed to SUFFIX."""
FILE_BYTES = 8 * 2**20
"""After which the next file is begun: one is read whole."""
LEAST_FREE = 2**20
"""Bytes of its disk: with less, the next group may not fit."""


class SpoolFull(Exception):
    """It holds as many bytes as it may."""


class Counted(BaseModel):
    events: int
    first: Event
    may_be_new: bool = False
    """Whether its issue needs a place in its service's budget, as far as is known."""


class Record(BaseModel):
    """A group, under the id that MySQL's ledger will have for it."""

    id: Annotated[str, Field(max_length=LEDGER_ID)]
    kept_at: datetime
    """UTC, without a time zone."""
    counted: list[Counted]

    @property
    def candidates(self) -> dict[str, str]:
        """Fingerprints of what may be new, with their services."""
        return {each.first.fingerprint: each.first.service for each in self.counted if each.may_be_new}

    @property
    def events(self) -> int:
        return sum(each.events for each in self.counted)

    @property
    def batch(self) -> Batch:
        counts = {each.first.fingerprint: each.events for each in self.counted}
        return Batch(self.id, counts, self.kept_at)


class Spool:
    """One process's. Its methods block; `append` is called by one thread at a time."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most = most_bytes
        self._file: int | None = None
        self._path = folder
        self._size = 0
        self._others = 0

    def append(self, record: Record) -> None:
        """It is on disk when this returns. Raises OSError or SpoolFull; what is half written is no record."""
        packed = pack(record)
        file = self._file if self._file is not None else self._open()
        if self._others + self._size + len(packed) > self._most:
            raise SpoolFull(f"{self._folder} holds {self._others + self._size:,} bytes")
        try:
            _write(file, packed)
            os.fdatasync(file)
        except OSError:
            # Of a file whose sync has failed nobody knows what is on disk: nothing more is put behind it.
            with suppress(OSError):
                os.ftruncate(file, self._size)
            self.close()
            raise
        self._size += len(packed)
        if self._size >= FILE_BYTES:
            self.close()

    def _open(self) -> int:
        make_folder(self._folder)
        self._others = size(self._folder)
        while self._file is None:
            self._begin(self._folder / f"{time.time_ns()}-{uuid4().hex}{SUFFIX}")
        return self._file

    def _begin(self, path: Path) -> None:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._file, self._path, self._size = file, path, 0
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            is_there = path.exists()
            sync_folder(self._folder)
        except OSError:
            self.close()
            raise
        if not is_there:  # who replays has locked it first, found it empty, and removed it
            self.close()

    def close(self) -> None:
        """Leave the file to who replays it; one without a record is of no use to anybody."""
        if self._file is not None:
            if not self._size:
                with suppress(OSError):
                    self._path.unlink()
            os.close(self._file)
            self._file = None

    def has_room(self) -> bool:
        """Whether a record could be appended, as far as can be seen: raises nothing."""
        try:
            make_folder(self._folder)
            has_disk = shutil.disk_usage(self._folder).free > LEAST_FREE
            return has_disk and os.access(self._folder, os.W_OK) and size(self._folder) < self._most
        except OSError:
            return False


def record_of(
    group_id: str, events: Sequence[tuple[int, Event]], may_be_new: Callable[[Event], bool] = lambda _: False
) -> Record:
    counted = [Counted(events=count, first=event, may_be_new=may_be_new(event)) for count, event in events]
    return Record(id=group_id, kept_at=now(), counted=counted)


def pack(record: Record) -> bytes:
    body = record.model_dump_json(by_alias=True).encode()
    return HEAD.pack(MAGIC, len(body), zlib.crc32(body)) + body


def unpack(data: bytes) -> Iterator[Record | bytes]:
    """Every record that is whole: as its bytes where this version can't read it.

    What lies between two of them, or is torn, is skipped and told.
    """
    at = end = skipped = 0
    while (at := data.find(MAGIC, at)) >= 0:
        packed = _whole(data, at)
        if packed is None:
            at += 1
            continue
        skipped += at - end
        yield _record(packed)
        at = end = at + len(packed)
    skipped += len(data) - end
    if skipped:
        log.error("%d bytes of a spool file are no record", skipped)


def _whole(data: bytes, at: int) -> bytes | None:
    if at + HEAD.size > len(data):
        return None
    _, length, checksum = HEAD.unpack_from(data, at)
    packed = data[at : at + HEAD.size + length]
    is_whole = len(packed) == HEAD.size + length and zlib.crc32(packed[HEAD.size :]) == checksum
    return packed if is_whole else None


def _record(packed: bytes) -> Record | bytes:
    try:
        # A newer version may have added a field: of a request it is an error, here it is not for us.
        return Record.model_validate_json(packed[HEAD.size :], extra="ignore")
    except ValidationError:
        return packed


def files(folder: Path) -> list[Path]:
    """Oldest first."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def size(folder: Path) -> int:
    total = 0
    for path in files(folder):
        with suppress(FileNotFoundError):  # another process has just replayed it
            total += path.stat().st_size
    return total


@contextmanager
def held(path: Path) -> Iterator[bytes | None]:
    """What is in a file that nobody writes or replays; None where somebody does, or has removed it."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield None
        return
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        # Its last owner may have removed it between the two calls.
        yield path.read_bytes() if path.exists() else None
    finally:
        os.close(file)


def keep_aside(path: Path, packed: Sequence[bytes]) -> Path:
    """Records of that file in one of their own, which nobody replays or removes; on disk when this returns.

    Done again, it is the same file.
    """
    aside = path.with_suffix(ASIDE)
    with open(aside, "wb", opener=private) as file:
        file.writelines(packed)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)
    return aside


def remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for each in missing:
        sync_folder(each.parent)


def sync_folder(folder: Path) -> None:
    """A file or folder is there after a crash once the folder above it is on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def private(path: str, flags: int) -> int:
    """An opener: what clients sent is nobody else's to read."""
    return os.open(path, flags, 0o600)


def _write(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
