"""How much of a request has come: a thread gets it when it is whole, so that a slow client holds none.

It only tells when; what a request is, is the parser's to say. So whatever the parser refuses by what is there
counts as whole, and is refused at once.
"""

import re

from naive_sync.chunks import chunk_size
from shared.event import MAX_BODY
from shared.head import MAX_HEAD, METHODS, is_length


def _values(name: bytes) -> re.Pattern[bytes]:
    # Spaces are cut off in Python: a pattern that does it tries each of 16,000 as the end, for 2 s.
    return re.compile(rb"\r\n%b:([^\n]*)(?=\r\n)" % name, re.IGNORECASE)


_LENGTH, _CODING, _EXPECT = map(_values, (b"content-length", b"transfer-encoding", b"expect"))
_LONE_LF = re.compile(rb"(?<!\r)\n")
_HOST = re.compile(rb"\r\nhost:", re.IGNORECASE)
_LINE = re.compile(rb"(?:%b) +[!-~]+ +HTTP/1\.[01]" % "|".join(METHODS).encode())
_WORD = re.compile(rb"\Z|[A-Z]{1,7}(?: |\Z)")


def may_begin(head: bytes | bytearray) -> bool:
    """Whether what has come of a head may be the begin of one, by its first line, or first word so far."""
    line, is_whole, _ = head.partition(b"\r\n")
    return bool(_LINE.fullmatch(line) if is_whole else _WORD.match(line))


class Arrival:
    """Of one request, from what comes piece by piece; each byte is looked at once, but for a chunk's line."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.asks_first = False
        """Whether the client waits to be told to go on."""
        self.is_too_long = False
        """Whether more is announced than will ever be read."""
        self._looked_at = 0
        self._has_line = False
        """Whether its first line is there, and is one."""
        self._body: int | None = None
        """Where it begins, once the head is there."""
        self._wanted: int | None = None
        """Bytes of the body; None: it comes in chunks."""
        self._chunk = 0
        """Where the next chunk's line begins."""
        self._decoded = 0
        """Bytes of the chunks before it."""

    @property
    def has_begun(self) -> bool:
        """Not by an empty line, which may stand between two requests."""
        return bool(self.data.strip(b"\r\n"))

    def add(self, data: bytes) -> bool:
        """Return whether the parser can go on without waiting. `data` is empty where the client has ended."""
        self.data += data
        if not data or (self._body is None and self._is_head_refused()):
            return True
        if self._body is None:
            return False
        if self._wanted is not None:
            return len(self.data) - self._body >= self._wanted
        return self._have_chunks_ended(self._body)

    def _is_head_refused(self) -> bool:
        """Whether it is, or there is too much of it; takes from a head that is whole what the body needs."""
        start = len(self.data) - len(self.data.lstrip(b"\r\n"))
        if start == len(self.data):
            return start > MAX_HEAD
        if not self._has_line:
            if not may_begin(self.data[start:]):
                return True
            self._has_line = self.data.find(b"\r\n", start) >= 0
        end = self.data.find(b"\r\n\r\n", max(start, self._looked_at - 3))
        stop = len(self.data) if end < 0 else end
        if _LONE_LF.search(self.data, max(start, self._looked_at), stop) or stop - start > MAX_HEAD - 4:
            return True
        self._looked_at = len(self.data)
        if end < 0:
            return False
        self._body = self._chunk = end + 4
        return self._is_refused(bytes(self.data[start : end + 4]))

    def _is_refused(self, head: bytes) -> bool:
        codings, lengths, expected = (
            [value.strip(b" \t") for value in found.findall(head)] for found in (_CODING, _LENGTH, _EXPECT)
        )
        is_new = head.partition(b"\r\n")[0].endswith(b"HTTP/1.1")
        if (
            (is_new and not _HOST.search(head))
            or len(codings + lengths) > 1
            or (codings and (not is_new or codings[0].lower() != b"chunked"))
            or not all(is_length(length.decode("latin-1")) for length in lengths)
            or any(value.lower() != b"100-continue" for value in expected)
        ):
            return True
        self._wanted = None if codings else int(lengths[0]) if lengths else 0
        self.is_too_long = (self._wanted or 0) > MAX_BODY
        self.asks_first = is_new and bool(expected) and not self.is_too_long
        return self.is_too_long

    def _have_chunks_ended(self, body: int) -> bool:
        while self._chunk <= len(self.data):
            ended = bytes(self.data[self._chunk - 2 : self._chunk])
            if self._decoded > MAX_BODY or (self._chunk > body and ended != b"\r\n"):
                return True
            line = self.data.find(b"\r\n", self._chunk)
            if line < 0:
                return len(self.data) - self._chunk > MAX_HEAD
            size = chunk_size(bytes(self.data[self._chunk : line]))
            if size is None:
                return True
            behind = len(self.data) - line - 2
            if size == 0:
                return self.data.find(b"\r\n\r\n", line) >= 0 or behind > MAX_HEAD
            if size + 2 > behind:
                return self._decoded + min(size, behind) > MAX_BODY
            self._chunk, self._decoded = line + 2 + size + 2, self._decoded + size
        return False
