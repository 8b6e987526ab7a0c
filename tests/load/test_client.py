"""The lean client, against servers that answer in every way a server may."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

import gevent
import pytest
from gevent import socket
from gevent.server import StreamServer

from loadtests.load import client as module
from loadtests.load.client import Client
from loadtests.load.outcomes import FOLDED

HEAD = b"HTTP/1.1 200 OK\r\n"
Handler = Callable[[socket.socket], object]


@contextmanager
def serving(handle: Handler) -> Iterator[Client]:
    """A client of a server whose every connection is given to `handle`."""
    server = StreamServer(("127.0.0.1", 0), lambda connection, _: handle(connection))
    server.start()
    client = Client(f"http://127.0.0.1:{server.server_port}")
    try:
        yield client
    finally:
        client.close()
        server.stop(timeout=1)


def answering(*pieces: bytes) -> Handler:
    """Answers every request that comes in one piece with `pieces`, a moment apart."""

    def handle(connection: socket.socket) -> None:
        while connection.recv(65_536):
            for piece in pieces:
                connection.sendall(piece)
                gevent.sleep(0.01)

    return handle


@pytest.mark.parametrize(
    "pieces",
    [
        (HEAD + b"Content-Length: 2\r\n\r\n{}",),
        (HEAD + b"content-length:2\r\n\r\n", b"{", b"}"),
        (HEAD[:5], HEAD[5:] + b"Content-Length: 2\r\n", b"\r\n{}"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", b"0\r\n\r\n"),
        (HEAD + b"Content-Length: 0\r\n\r\n",),
    ],
)
def test_answers_are_read_to_the_end_over_one_connection(pieces: tuple[bytes, ...]) -> None:
    with serving(answering(*pieces)) as client:
        assert [client.post(b"{}") for _ in range(3)] == ["200"] * 3


CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("status", "pieces"),
    [
        ("204", (b"HTTP/1.1 204 No Content\r\n\r\n",)),
        ("304", (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",)),
        ("200", (b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\n{}",)),
        ("200", (b"HTTP/1.1 102 Wait\r\nX: y\r\n\r\n", HEAD + b"Content-Length: 2\r\n\r\n", b"{}")),
        (
            "200",
            (
                b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 C\r\n\r\nHT",
                HEAD[2:] + b"Content-Length:0\r\n\r\n",
            ),
        ),
        ("200", (HEAD + b"X-Uncompressed-Content-Length: 9\r\nContent-Length: 2\r\n\r\n{}",)),
        ("200", (HEAD + b"Content-Length: 2\r\nX-Connection: close\r\nX-Y: connection: close\r\n\r\n{}",)),
        ("200", (HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",)),
        ("200", (HEAD + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",)),
        ("200", (CHUNKED + b"2\r\n{}\r\n0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n",)),
        ("200", (CHUNKED + b"2;a=b\r\n{}\r\n0;last\r\n", b"X-Sum: 1\r\n", b"\r\n")),
        ("200", (CHUNKED + b"7\r\n0\r\n\r\n{}\r\n", b"0\r\n\r\n")),
        ("200", (CHUNKED, b"0000A\r", b"\n01234", b"56789\r", b"\n", b"0", b"\r\n\r", b"\n")),
        ("200", (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}",)),
    ],
)
def test_every_framing_ends_where_it_ends_over_one_connection(status: str, pieces: tuple[bytes, ...]) -> None:
    connections = []

    def handle(connection: socket.socket) -> None:
        connections.append(connection)
        answering(*pieces)(connection)

    with serving(handle) as client, gevent.Timeout(5):
        assert [client.post(b"{}") for _ in range(3)] == [status] * 3
    assert len(connections) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 OK\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        HEAD + b"Connection: close\r\n\r\n{}",
        HEAD + b"\r\n" + b"{}" * 50_000,
        HEAD + b"Transfer-Encoding: gzip\r\n\r\n{}",
        HEAD + b"CONNECTION:  Keep-Alive , Close\r\nContent-Length: 2\r\n\r\n{}",
        CHUNKED[:-2] + b"Connection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    ],
)
def test_what_ends_with_its_connection_is_an_answer(answer: bytes) -> None:
    connections = []

    def handle(connection: socket.socket) -> None:
        connections.append(connection.recv(65_536))
        connection.sendall(answer)
        connection.close()

    with serving(handle) as client, gevent.Timeout(5):
        assert [client.post(b"{}") for _ in range(3)] == ["200"] * 3
    assert len(connections) == 3


def test_a_connection_that_the_server_will_close_is_not_used_again() -> None:
    connections = []

    def handle(connection: socket.socket) -> None:
        connections.append(connection)
        answering(HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}")(connection)

    with serving(handle) as client, gevent.Timeout(5):
        assert [client.post(b"{}") for _ in range(3)] == ["200"] * 3
    assert len(connections) == 3


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
        HEAD + b"Content-Length: -2\r\n\r\n{}",
        HEAD + b"Content-Length: two\r\n\r\n{}",
        CHUNKED + b"xyz\r\n{}\r\n0\r\n\r\n",
        CHUNKED + b"9" * 20_000,
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    ],
)
def test_what_is_no_answer_is_a_failed_connection_at_once(answer: bytes) -> None:
    with serving(answering(answer)) as client, gevent.Timeout(5):
        assert client.post(b"{}") == "connection"


BODY = b'{"success":true,"data":{"status":"folded"}}'


@pytest.mark.parametrize(
    "pieces",
    [
        (HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY,),
        (HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY[:35], BODY[35:]),
        (HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY), BODY),
        (CHUNKED + b"23\r\n" + BODY[:0x23] + b"\r\n", b"8\r\n" + BODY[0x23:] + b"\r\n0\r\n\r\n"),
        (
            CHUNKED + b"23;a=b\r\n" + BODY[:0x20],
            BODY[0x20:0x23] + b"\r",
            b"\n8\r\n" + BODY[0x23:] + b"\r\n0\r\n\r\n",
        ),
    ],
)
def test_a_folded_event_is_told_from_others_however_its_answer_comes(pieces: tuple[bytes, ...]) -> None:
    with serving(answering(*pieces)) as client, gevent.Timeout(5):
        assert [client.post(b"{}") for _ in range(2)] == [FOLDED] * 2


def test_only_a_success_is_folded() -> None:
    refusal = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
    closing = b"HTTP/1.0 200 OK\r\n\r\n" + BODY
    with serving(answering(refusal)) as client:
        assert client.post(b"{}") == "503"

    def handle(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(closing)
        connection.close()

    with serving(handle) as client, gevent.Timeout(5):
        assert client.post(b"{}") == FOLDED


def test_a_status_is_returned_as_it_is() -> None:
    with serving(answering(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")) as client:
        assert client.post(b"{}") == "503"


def test_the_request_is_complete() -> None:
    seen = []

    def handle(connection: socket.socket) -> None:
        seen.append(connection.recv(65_536))
        connection.sendall(HEAD + b"Content-Length: 0\r\n\r\n")

    with serving(handle) as client:
        client.post(b'{"message":"m"}')
        host = f"127.0.0.1:{client._address[1]}"
    assert seen == [
        b"POST /api/v1/errors/log HTTP/1.1\r\nHost: %b\r\nContent-Type: application/json\r\n"
        b'Content-Length: 15\r\n\r\n{"message":"m"}' % host.encode()
    ]


def test_a_server_that_closes_is_connected_to_again() -> None:
    def handle(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(HEAD + b"Connection: close\r\nContent-Length: 0\r\n\r\n")
        connection.close()

    with serving(handle) as client:
        assert [client.post(b"{}") for _ in range(3)] == ["200"] * 3


@pytest.mark.parametrize("answer", [b"", HEAD, HEAD + b"Content-Length: 5\r\n\r\n{}", b"nonsense\r\n\r\n"])
def test_a_broken_answer_is_a_failed_connection_and_sent_once(answer: bytes) -> None:
    requests = []

    def handle(connection: socket.socket) -> None:
        requests.append(connection.recv(65_536))
        connection.sendall(answer)
        connection.close()

    with serving(handle) as client:
        assert client.post(b"{}") == "connection"
    assert len(requests) == 1


def test_a_server_that_is_not_there_is_a_failed_connection() -> None:
    with serving(answering()) as client:
        pass
    assert client.post(b"{}") == "connection"


def test_an_overdue_request_ends_as_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.05)
    with serving(answering()) as client:
        post = gevent.spawn(client.post, b"{}")
        gevent.sleep(0.02)
        client.close_if_overdue(now=perf_counter())
        assert not post.ready()
        gevent.sleep(0.05)
        client.close_if_overdue(now=perf_counter())
        assert post.get(timeout=1) == "timeout"


@pytest.mark.parametrize("address", ["", "127.0.0.1:9001", "https://127.0.0.1"])
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(ValueError, match="http://"):
        Client(address)
