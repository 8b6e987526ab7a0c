"""Clients that send without end, don't read, or stop: what they cost, and what they may cost at most."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from http.client import HTTPConnection
from itertools import repeat
from select import select
from urllib.parse import urlsplit

import psutil
import pytest

from async_dedup.connection import BODY_SECONDS, HEAD_SECONDS
from loadtests.stack import Stack
from loadtests.trial.cases import TOO_LARGE
from shared.event import MAX_BODY
from shared.head import MAX_HEAD
from tests import client
from tests.client import head, receive
from tests.contract.test_log import check_failure
from tests.contract.test_wire import CHUNKED, JSON, chunk, event

MEBIBYTE = 1024 * 1024
ROOM = 24 * MEBIBYTE
"""What one connection may add to the memory of a twin: a packet, the answers to its requests, and noise."""


def memory(stack: Stack, twin: str) -> int:
    """Of the server with its children, in bytes."""
    server = psutil.Process(stack.pid(twin))
    return sum(each.memory_info().rss for each in (server, *server.children(recursive=True)))


def send(connection: socket.socket, *pieces: bytes) -> None:
    for piece in pieces:
        connection.sendall(piece)


def name_of(twin_url: str, async_url: str) -> str:
    return "async_dedup" if twin_url == async_url else "naive_sync"


ENDLESS = {
    "one header": (head(JSON)[:-2] + b"X-Long: ", b"x" * 65_536, 431),
    "many headers": (head(JSON)[:-2], b"X-Long: x\r\n" * 6_000, 431),
    "one path": (b"GET /", b"x" * 65_536, 431),
    "empty lines": (b"\r\n", b"\r\n" * 32_768, 431),
    "a chunk's extension": (head(JSON, CHUNKED) + b"1;a=", b"x" * 65_536, 400),
    "trailers": (head(JSON, CHUNKED) + b"0\r\n", b"X-Long: x\r\n" * 6_000, 400),
}


@pytest.mark.parametrize("case", ENDLESS)
def test_a_head_without_an_end_is_refused_and_not_kept(
    stack: Stack, twin_url: str, async_url: str, case: str
) -> None:
    """64 MiB of it; the server hangs up long before it has them."""
    start, more, status = ENDLESS[case]
    twin = name_of(twin_url, async_url)
    before = memory(stack, twin)
    with client.connect(twin_url) as connection, pytest.raises(ConnectionError):
        send(connection, start, *repeat(more, 1_000))
    assert memory(stack, twin) - before < ROOM
    with client.connect(twin_url) as connection:
        connection.sendall(start + more)
        check_failure(receive(connection), status)
        assert client.is_closed(connection)


def test_a_head_up_to_the_limit_is_read(twin_url: str) -> None:
    body = event(f"largest head {twin_url}")
    start = head(JSON, f"Content-Length: {len(body)}", "X-Fill: ")
    for size, status in ((MAX_HEAD, 200), (MAX_HEAD + 1, 431)):
        fill = b"X-Fill: " + b"x" * (size - len(start))
        with client.connect(twin_url) as connection:
            connection.sendall(start.replace(b"X-Fill: ", fill) + body)
            assert receive(connection).status == status


@pytest.mark.parametrize("path", [client.LOG, client.HEALTH])
def test_who_never_reads_is_not_read_from(stack: Stack, twin_url: str, async_url: str, path: str) -> None:
    """It asks until the server takes no more."""
    twin = name_of(twin_url, async_url)
    body = event(f"never read {twin_url}")
    request = head(JSON, f"Content-Length: {len(body)}", path=path, method="POST") + body
    if path != client.LOG:
        request = head(method="GET", path=path)
    client.get(twin_url, client.HEALTH)
    before = memory(stack, twin)
    with client.connect(twin_url) as connection:
        connection.settimeout(2)
        with pytest.raises((TimeoutError, ConnectionError)):
            send(connection, *repeat(request * 500, 64 * MEBIBYTE // len(request * 500)))
        assert memory(stack, twin) - before < ROOM
        assert client.log(twin_url, f"beside it {twin_url}").status == 200


@pytest.mark.parametrize("size", [MAX_BODY + 1, 1 * MEBIBYTE, 4 * MEBIBYTE])
@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_no_answer_to_a_large_body_is_lost(twin_url: str, size: int, framing: str) -> None:
    """40 clients that send all of it before they read; and each is told that its connection ends."""
    body = TOO_LARGE.ljust(size)
    request = head(JSON, f"Content-Length: {size}") + body
    if framing == "chunks":
        request = head(JSON, CHUNKED) + chunk(body) + b"0\r\n\r\n"

    def ask(_: int) -> tuple[int, str]:
        with client.connect(twin_url) as connection:
            connection.sendall(request)
            answer = receive(connection)
            assert client.is_closed(connection)
            return answer.status, answer.headers["Connection"]

    with ThreadPoolExecutor(4) as clients:
        assert set(clients.map(ask, range(40))) == {(413, "close")}


def test_the_next_event_of_a_client_that_keeps_its_connection_is_answered(twin_url: str) -> None:
    """What a client or a proxy does that believes `Connection`."""
    connection = HTTPConnection(urlsplit(twin_url).netloc, timeout=client.TIMEOUT)
    statuses = []
    for body in (TOO_LARGE, event(f"after too much {twin_url}")) * 40:
        connection.request("POST", client.LOG, body, client.JSON)
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()
    assert statuses == [413, 200] * 40


def test_deadlines_for_head_and_body(twin_url: str) -> None:
    """Connections that say nothing, half a head or half a body, all at once."""
    halves = (head(JSON)[:-2], head(JSON, "Content-Length: 9") + b"{", head(JSON, CHUNKED) + b"5\r\n{")
    with ExitStack() as opened:
        idle, *half = (opened.enter_context(client.connect(twin_url)) for _ in range(1 + len(halves)))
        for connection, start in zip(half, halves, strict=True):
            connection.sendall(start)
        for connection in (idle, *half):
            connection.settimeout(3 * max(HEAD_SECONDS, BODY_SECONDS))
        assert client.is_closed(idle)
        for connection in half:
            check_failure(receive(connection), 408)
            assert client.is_closed(connection)


def test_a_byte_at_a_time_holds_no_connection_for_longer(twin_url: str) -> None:
    body = event(f"a trickle {twin_url}")
    with client.connect(twin_url) as connection:
        connection.sendall(head(JSON, f"Content-Length: {len(body)}"))
        trickle = iter(body)

        def is_answered() -> bool:
            with suppress(OSError):  # it takes no more
                connection.sendall(bytes([next(trickle)]))
            return bool(select([connection], [], [], 0.5)[0])

        client.eventually(is_answered, "the deadline of the body", 3 * BODY_SECONDS)
        check_failure(receive(connection), 408)


SLOW = 70
HALVES = {
    "nothing": b"",
    "half a head": head(JSON)[:-2],
    "half a body": head(JSON, "Content-Length: 9") + b"{",
    "half a chunk": head(JSON, CHUNKED) + b"5\r\n{",
    "an empty line": b"\r\n",
    "a lone LF": b"\n",
    "half a head behind an empty line": b"\n" + head(JSON)[:-2],
    "a chunk that is too large": head(JSON, CHUNKED) + b"40001\r\n{",
    "a chunk's size of 17 digits": head(JSON, CHUNKED) + b"00000000000000005\r\n{",
    "a length of 20 digits": head(JSON, "Content-Length: 00000000000000000018") + b"{",
    "who asks first": head(JSON, "Content-Length: 9", "Expect: 100-continue"),
    "a long extension": head(JSON, CHUNKED) + b"5;a=" + b"x" * 8_300,
    "long trailers": head(JSON, CHUNKED) + b"0\r\nX-Long: " + b"x" * 16_000,
    "no HTTP": b"garbage\r\n\r\n",
    "a body that nobody reads": head("Content-Length: 300000").replace(b"POST", b"GET"),
    "a length of 2^64 - 1 that nobody reads": head(f"Content-Length: {2**64 - 1}").replace(b"POST", b"GET"),
    "the same, of another type": head(f"Content-Length: {2**64 - 1}"),
    "the same, with zeros": head("Content-Length: " + "0" * 9_000 + "1"),
    "a chunk of 2^64": head(JSON, CHUNKED) + b"1" + b"0" * 16 + b"\r\n{",
    "an Expect with 16,000 spaces": head(JSON, "Expect: a" + " " * 16_000 + "b"),
    "a coding with 16,000 spaces": head(JSON, "Transfer-Encoding: a" + " " * 16_000 + "b"),
}


def test_slow_clients_of_every_kind_do_not_stop_the_others(twin_url: str) -> None:
    """Of each kind more than the naive twin has threads: 1,050 in all."""
    with ExitStack() as opened:
        for said in HALVES.values():
            for _ in range(SLOW):
                opened.enter_context(client.connect(twin_url)).sendall(said)
        begun = time.monotonic()
        statuses = [client.log(twin_url, f"beside slow ones {number}").status for number in range(20)]
        # Each would wait for the deadline of those before it.
        assert time.monotonic() - begun < min(HEAD_SECONDS, BODY_SECONDS)
    assert statuses == [200] * 20
