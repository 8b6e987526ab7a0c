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
