"""Bodies that come in pieces, too large, or not at all; and connections that are used again afterwards."""

import json
import socket

import pytest

from loadtests.stack import Stack
from loadtests.trial.cases import LARGEST, TOO_LARGE
from shared.event import MAX_BODY
from shared.fingerprint import fingerprint
from tests import client
from tests.client import head, receive

JSON = "Content-Type: application/json"
CHUNKED = "Transfer-Encoding: chunked"
LAST_CHUNK = b"0\r\n\r\n"


def event(message: str) -> bytes:
    return json.dumps({"message": message}).encode()


def chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def send_in_pieces(connection: socket.socket, pieces: bytes) -> None:
    """Byte by byte; a server that answers early may hang up on the rest."""
    for byte in pieces:
        connection.sendall(bytes([byte]))


def times_seen(url: str, message: str) -> int:
    return client.issue(url, fingerprint(message)).times_seen


def test_a_body_that_comes_byte_by_byte(twin_url: str) -> None:
    message = f"byte by byte \U0001f525 {twin_url}"
    body = event(message)
    with client.connect(twin_url) as connection:
        send_in_pieces(connection, head(JSON, f"Content-Length: {len(body)}") + body)
        assert receive(connection).status == 200
    assert times_seen(twin_url, message) == 1


def test_a_body_in_chunks_of_one_byte(twin_url: str) -> None:
    message = f"chunks of one byte \U0001f525 {twin_url}"
    body = json.dumps({"message": message}, ensure_ascii=False).encode()
    with client.connect(twin_url) as connection:
        connection.sendall(head(JSON, CHUNKED))
        for byte in body:
            connection.sendall(chunk(bytes([byte])))
        connection.sendall(LAST_CHUNK)
        assert receive(connection).status == 200
    assert times_seen(twin_url, message) == 1


@pytest.mark.parametrize("size", [1_000, 100_000, MAX_BODY])
def test_the_largest_body_in_chunks(twin_url: str, size: int) -> None:
    with client.connect(twin_url) as connection:
        connection.sendall(head(JSON, CHUNKED))
        for start in range(0, len(LARGEST), size):
            connection.sendall(chunk(LARGEST[start : start + size]))
        connection.sendall(LAST_CHUNK)
        assert receive(connection).status == 200


def test_one_byte_more_in_chunks_is_refused(twin_url: str) -> None:
    with client.connect(twin_url) as connection:
        connection.sendall(head(JSON, CHUNKED) + chunk(TOO_LARGE) + LAST_CHUNK)
        assert receive(connection).status == 413


TOO_MUCH = {
    "announced": (head(JSON, f"Content-Length: {10**10}") + b"{", b"x" * 65_536),
    "announced, asking first": (
        head(JSON, f"Content-Length: {10**10}", "Expect: 100-continue"),
        b"x" * 65_536,
    ),
    "in chunks": (head(JSON, CHUNKED) + chunk(TOO_LARGE), chunk(b"x" * 65_536)),
}


@pytest.mark.parametrize(("start", "more"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_too_much_is_refused_before_it_is_all_sent_and_not_read(
    twin_url: str, start: bytes, more: bytes
) -> None:
    """64 MiB more, and the server hangs up long before it has them."""
    with client.connect(twin_url) as connection:
        connection.sendall(start)
        assert receive(connection).status == 413
        with pytest.raises(ConnectionError):
            connection.sendall(more * 1_000)


def test_a_client_that_announces_too_much_and_waits_is_hung_up_on(twin_url: str) -> None:
    with client.connect(twin_url) as connection:
        connection.sendall(head(JSON, f"Content-Length: {10**10}") + b"{")
        assert receive(connection).status == 413
        assert client.is_closed(connection)


def test_a_client_that_asks_first_may_go_on(twin_url: str) -> None:
    body = event(f"100-continue {twin_url}")
    with client.connect(twin_url) as connection:
        connection.sendall(head(JSON, f"Content-Length: {len(body)}", "Expect: 100-continue"))
        assert connection.recv(1_000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        assert receive(connection).status == 200


@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize("end", [socket.SHUT_WR, socket.SHUT_RDWR], ids=["half-closed", "hung up"])
def test_a_body_that_breaks_off_is_not_kept(
    stack: Stack, naive_url: str, twin_url: str, framing: str, end: int
) -> None:
    """What came is valid JSON: only its length tells that it is not all of it."""
    name = "naive_sync" if twin_url == naive_url else "async_dedup"
    log = stack.log_path(name)
    before = len(log.read_text())  # of other tests, in which MySQL went
    message = f"broken off, {framing}, {end}, {twin_url}"
    body = event(message)
    with client.connect(twin_url) as connection:
        if framing == "length":
            connection.sendall(head(JSON, f"Content-Length: {len(body) + 1}") + body)
        else:
            connection.sendall(head(JSON, CHUNKED) + chunk(body))
        connection.shutdown(end)
        client.is_closed(connection)
    after = message + ", after"
    assert client.log(twin_url, after).status == 200
    assert times_seen(twin_url, after) == 1
    assert client.get(twin_url, f"{client.ERRORS}/{fingerprint(message)}").status == 404
    assert "Traceback" not in log.read_text()[before:]


def test_an_event_sent_whole_counts_though_its_client_sends_no_more(twin_url: str) -> None:
    message = f"half-closed after the body {twin_url}"
    body = event(message)
    with client.connect(twin_url) as connection:
        connection.sendall(head(JSON, f"Content-Length: {len(body)}") + body)
        connection.shutdown(socket.SHUT_WR)
        client.is_closed(connection)
    assert times_seen(twin_url, message) == 1


@pytest.mark.parametrize("body", [b"zz\r\n{}\r\n", b"2\r\n{}x\r\n", b"-1\r\n", b"\r\n"])
def test_chunks_that_are_none_are_the_clients_fault(twin_url: str, body: bytes) -> None:
    with client.connect(twin_url) as connection:
        connection.sendall(head(JSON, CHUNKED) + body)
        assert receive(connection).status == 400


ERRORS_WITH_BODIES = {
    "bad event": (head(JSON, "Content-Length: 2") + b"{}", 400),
    "unknown path": (head(JSON, "Content-Length: 2", path="/nowhere") + b"{}", 404),
    "unknown path, 200 KB": (head(JSON, "Content-Length: 200000", path="/nowhere") + b"x" * 200_000, 404),
    "unknown path, 200 KB in chunks": (
        head(JSON, CHUNKED, path="/nowhere") + chunk(b"x" * 200_000) + LAST_CHUNK,
        404,
    ),
    "wrong method": (head(JSON, "Content-Length: 2", method="PUT") + b"{}", 405),
    "media type": (head("Content-Type: text/plain", "Content-Length: 5") + b"hello", 415),
    "media type, in chunks": (head("Content-Type: text/plain", CHUNKED) + chunk(b"hello") + LAST_CHUNK, 415),
}


@pytest.mark.parametrize(("request_", "status"), ERRORS_WITH_BODIES.values(), ids=ERRORS_WITH_BODIES)
def test_a_connection_goes_on_after_an_error(twin_url: str, request_: bytes, status: int) -> None:
    """A body that nobody read must not be taken for the next request."""
    message = f"after {status} of {len(request_)} bytes {twin_url}"
    body = event(message)
    with client.connect(twin_url) as connection:
        for _ in range(3):
            connection.sendall(request_)
            assert receive(connection).status == status
            connection.sendall(head(JSON, f"Content-Length: {len(body)}") + body)
            assert receive(connection).status == 200
    assert times_seen(twin_url, message) == 3
