"""How much of a request has come: a thread gets it when it is whole, so that a slow client holds none."""

import re

from shared.event import MAX_BODY
from shared.head import MAX_HEAD

LONGEST_LINE = 8_192
"""Of a chunk's size, with what may stand behind it."""
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,19})[ \t]*\r\n", re.IGNORECASE)
_CODED = re.compile(rb"\r\ntransfer-encoding:[ \t]*(chunked)?", re.IGNORECASE)
_SIZE = re.compile(rb"([0-9a-f]{1,16})[ \t]*(?:;|$)", re.IGNORECASE)
_ASKS_FIRST = re.compile(rb"\r\nexpect:", re.IGNORECASE)


class Arrival:
    """Of one request. What is not plain HTTP is the parser's to judge: for that nothing more has to come."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._body = 0
        """Where it begins, once the head is there."""
        self._chunk = 0
        """Where the next chunk begins."""

    def add(self, data: bytes) -> bool:
        """Return whether the parser can go on without waiting. `data` is empty where the client has ended."""
        self.data += data
        return not data or self._is_whole()

    def _is_whole(self) -> bool:
        if not self._body:
            start = len(self.data) - len(self.data.lstrip(b"\r\n"))
            end = self.data.find(b"\r\n\r\n", start)
            if end < 0:
                return len(self.data) > MAX_HEAD or self.data.count(b"\n") != self.data.count(b"\r\n")
            self._body = self._chunk = end + 4
        head = self.data[: self._body]
        if _ASKS_FIRST.search(head):
            return True
        if coded := _CODED.search(head):
            return not coded[1] or self._have_chunks_ended()
        length = _LENGTH.search(head)
        wanted = int(length[1]) if length else 0
        return wanted > MAX_BODY or len(self.data) - self._body >= wanted

    def _have_chunks_ended(self) -> bool:
        while (line := self.data.find(b"\r\n", self._chunk)) >= 0:
            size = _SIZE.match(self.data, self._chunk, line)
            if not size or (length := int(size[1], 16)) > MAX_BODY:
                return True
            if length == 0:
                return self._is_trailer_whole(line)
            self._chunk = line + 2 + length + 2
            if bytes(self.data[self._chunk - 2 : self._chunk]) not in (b"", b"\r", b"\r\n"):
                return True
        return len(self.data) - self._chunk > LONGEST_LINE or len(self.data) - self._body > 2 * MAX_BODY

    def _is_trailer_whole(self, line: int) -> bool:
        return self.data.find(b"\r\n\r\n", line) >= 0 or len(self.data) - line > MAX_HEAD
