"""The torn end of Redis's append-only file, cut off before every start.

Redis writes what a script did as a transaction, from MULTI to EXEC; killed in the middle of a write it
leaves half of one. Redis 7 cuts such a file at the end of a command, behind the MULTI. Whatever it appends
from then on becomes part of that transaction, and at the start after that counts are lost or doubled.

Nobody was told that a torn transaction is kept: it was not written whole, so it was not synced.
"""

import mmap
import os
import re
from pathlib import Path

MULTI = b"*1\r\n$5\r\nMULTI\r\n"
EXEC = b"*1\r\n$4\r\nEXEC\r\n"
CRLF = b"\r\n"
LONGEST_NUMBER = 32
"""Bytes of the line before an argument, and more."""


def repair(home: Path) -> int:
    """Cut off a half transaction or command, of a server that works in `home`; return how many bytes.

    Only the last transaction and what is behind it is read, and so at risk. What is damaged in any other way
    is left alone: to cut there would lose what was acknowledged, and the server refuses to start.
    """
    path = _last_file(home / "appendonlydir")
    if path is None or not path.stat().st_size:
        return 0
    with path.open("r+b") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            size, end = len(data), whole_until(data)
        if end < size:
            file.truncate(end)
            os.fsync(file.fileno())
    return size - end


def _last_file(folder: Path) -> Path | None:
    """The one that is appended to; all others were closed in order."""
    manifest = folder / "appendonly.aof.manifest"
    names = (
        re.findall(r"^file (\S+) seq \d+ type i\b", manifest.read_text(), re.M) if manifest.exists() else []
    )
    path = folder / names[-1] if names else None
    return path if path and path.exists() else None


def whole_until(data: bytes | mmap.mmap) -> int:
    """Return where the last whole transaction or command ends."""
    at = end = max(data.rfind(MULTI), 0)
    in_transaction = False
    try:
        while at < len(data):
            start, at = at, _command_end(data, at)
            command = data[start:at]
            in_transaction = command == MULTI or (in_transaction and command != EXEC)
            if not in_transaction:
                end = at
    except EOFError:
        return end
    except ValueError:
        return len(data)
    return end


def _command_end(data: bytes | mmap.mmap, at: int) -> int:
    """Raises EOFError where the data end first, ValueError where this is no command."""
    arguments, at = _number(data, at, b"*")
    for _ in range(arguments):
        length, at = _number(data, at, b"$")
        at += length + len(CRLF)
        if at > len(data):
            raise EOFError
        if data[at - len(CRLF) : at] != CRLF:
            raise ValueError
    return at


def _number(data: bytes | mmap.mmap, at: int, prefix: bytes) -> tuple[int, int]:
    line, end, _ = data[at : at + LONGEST_NUMBER].partition(CRLF)
    if line and line[:1] != prefix:
        raise ValueError
    if not end:
        raise EOFError if at + LONGEST_NUMBER >= len(data) else ValueError
    return int(line[1:]), at + len(line) + len(CRLF)
