"""Where an answer ends, for every framing of RFC 9112, section 6.3. Heads are in lower case.

The usual answer, one length and a connection that stays, is told by four searches of its head: a microsecond.
"""

from collections.abc import Iterator

CHUNKED, UNTIL_CLOSE = -1, -2
"""What `length` returns where there is none."""
BREAK = b"\r\n"
LENGTH = b"\r\ncontent-length:"
NO_BODY = (b"204", b"304")
MAX_LINE = 16_384
"""Bytes of a chunk's first line, or of all trailers."""


def read(head: bytes) -> tuple[str, int, bool]:
    """Return status, length of the body, whether the connection takes another request. Raises ValueError."""
    at = head.find(LENGTH)
    if (
        at > 0
        and head[:13] == b"http/1.1 200 "
        and b"\r\nconnection:" not in head
        and b"\r\ntransfer-encoding:" not in head
        and head.find(LENGTH, at + 1) < 0
        and (found := head[at + 17 :].split(b"\r\n", 1)[0].strip()).isdigit()
    ):
        return "200", int(found), True
    bytes_to_come = length(head)
    return status(head), bytes_to_come, bytes_to_come != UNTIL_CLOSE and stays_open(head)


def status(head: bytes) -> str:
    """Raises ValueError where that is no head of HTTP."""
    if not head.startswith(b"http/1."):
        raise ValueError("not HTTP")
    return str(int(head[9:12]))


def length(head: bytes) -> int:
    """Return the bytes of the body. Raises ValueError where lengths contradict each other, or are none."""
    if head[9:12] in NO_BODY:
        return 0
    if b"\r\ntransfer-encoding:" in head:
        codings = ",".join(values(head, b"transfer-encoding")).split(",")
        return CHUNKED if codings[-1].strip() == "chunked" else UNTIL_CLOSE
    if LENGTH not in head:
        return UNTIL_CLOSE
    lengths = {one.strip() for one in ",".join(values(head, b"content-length")).split(",")}
    if len(lengths) != 1 or not (only := lengths.pop()).isdigit():
        raise ValueError("no length")
    return int(only)


def stays_open(head: bytes) -> bool:
    if b"\r\nconnection:" not in head:
        return not head.startswith(b"http/1.0")
    options = {one.strip() for one in ",".join(values(head, b"connection")).split(",")}
    return "close" not in options and (not head.startswith(b"http/1.0") or "keep-alive" in options)


def values(head: bytes, name: bytes) -> Iterator[str]:
    """Yield the value of every field of that name."""
    for line in head.split(b"\r\n")[1:]:
        field, _, value = line.partition(b":")
        if field == name:
            yield value.strip().decode("latin-1")


class Chunks:
    """A chunked body that comes in pieces of any size."""

    def __init__(self) -> None:
        self.content = b""
        self._data = b""
        self._left = 0
        """Bytes of the present chunk, and of the line break behind it, that are still to come."""
        self._in_trailers = False

    def take(self, data: bytes) -> bool:
        """Return whether that was the last of it. Raises ValueError where it is not chunked."""
        self._data += data
        while not self._in_trailers:
            skipped = min(self._left, len(self._data))
            self.content += self._data[: max(min(skipped, self._left - len(BREAK)), 0)]
            self._data, self._left = self._data[skipped:], self._left - skipped
            line, found, rest = self._data.partition(b"\r\n")
            if self._left or not found:
                return self._wait()
            word = line.split(b";", 1)[0].strip()
            if not word.isalnum():  # int() would also take a sign
                raise ValueError("no size of a chunk")
            size = int(word, 16)
            self._data, self._left = rest, size + len(BREAK)
            self._in_trailers = size == 0
        return self._skip_trailers()

    def _skip_trailers(self) -> bool:
        while True:
            line, found, rest = self._data.partition(b"\r\n")
            if not found:
                return self._wait()
            self._data = rest
            if not line:
                return True

    def _wait(self) -> bool:
        if len(self._data) > MAX_LINE:
            raise ValueError("a line without an end")
        return False
