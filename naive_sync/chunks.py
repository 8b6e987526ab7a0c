"""A body in chunks, by the async twin's grammar: gunicorn's own takes more here, and less there."""

import re
from typing import Any

from gunicorn.http.body import ChunkedReader  # type: ignore[import-untyped]
from gunicorn.http.errors import (  # type: ignore[import-untyped]
    InvalidChunkSize,
    InvalidHeader,
    NoMoreData,
)

from shared.head import MAX_HEAD, MAX_LENGTH

_CHAR = rb"[!#$%&'*+.^_`|~0-9a-z-]"
"""Of a token."""
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+"'
_EXTENSION = rb";(?!\Z)" + _CHAR + rb"*+(?:=" + _CHAR + rb"*+(?:" + _QUOTED + rb")?+)?+"
# Nothing is tried again shorter (`+`): 8,000 extensions and a wrong byte took 46 ms of the loop that accepts.
_CHUNK = re.compile(rb"([0-9a-f]+)(?:" + _EXTENSION + rb")*+", re.IGNORECASE)
_TRAILER = re.compile(
    rb"(?!(?:connection|content-length|transfer-encoding):)" + _CHAR + rb"+:[\t -~\x80-\xff]*", re.IGNORECASE
)


def chunk_size(line: bytes) -> int | None:
    """Return what the line before a chunk says; None where it is no such line, or nobody can send so much."""
    found = _CHUNK.fullmatch(line) if len(line) <= MAX_HEAD else None
    size = int(found[1], 16) if found else MAX_LENGTH + 1
    return size if size <= MAX_LENGTH else None


class Chunks(ChunkedReader):  # type: ignore[misc]
    """Reads the body."""

    def parse_chunk_size(self, unreader: Any, data: bytes | None = None) -> tuple[int, bytes | None]:
        """Raises InvalidChunkSize, and InvalidHeader for trailers."""
        line, rest = self._until(b"\r\n", unreader, data or b"")
        size = chunk_size(line)
        if size is None:
            raise InvalidChunkSize(line)
        if size == 0:
            self.parse_trailers(unreader, rest)
            return 0, None
        return size, rest

    def parse_trailers(self, unreader: Any, data: bytes) -> None:
        """Reads and drops them."""
        lines, rest = self._until(b"\r\n\r\n", unreader, b"\r\n" + data)
        for line in lines.split(b"\r\n")[1:]:
            if not _TRAILER.fullmatch(line):
                raise InvalidHeader(line)
        unreader.unread(rest)

    def _until(self, end: bytes, unreader: Any, data: bytes) -> tuple[bytes, bytes]:
        """Raises NoMoreData where the client has ended."""
        while end not in data and len(data) <= MAX_HEAD:
            more = unreader.read()
            if not more:
                raise NoMoreData
            data += more
        before, found, rest = data.partition(end)
        if not found or len(before) > MAX_HEAD:
            raise InvalidChunkSize(b"too long")
        return before, rest
