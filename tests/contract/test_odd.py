"""What odd, old, broken and hostile clients send: one answer, the same from both twins."""

import json
import socket
from http.client import parse_headers

import pytest

from shared.fingerprint import fingerprint
from tests import client
from tests.client import head, receive
from tests.contract.odd import ODD
from tests.contract.test_alike import check_alike
from tests.contract.test_log import check_failure
from tests.contract.test_wire import JSON, event


def ask(url: str, sent: bytes) -> client.Answer:
    with client.connect(url) as connection:
        connection.sendall(sent)
        method = sent.split(b" ", 1)[0].strip().decode("latin-1")
        answer = receive(connection, method)
        while answer.status == 100:
            answer = receive(connection)
        return answer


@pytest.mark.parametrize(("sent", "status"), ODD.values(), ids=ODD)
def test_an_odd_request(twin_url: str, sent: bytes, status: int) -> None:
    answer = ask(twin_url, sent)
    if status == 200 or answer.body == b"":
        assert answer.status == status, answer.body
    else:
        check_failure(answer, status)


@pytest.mark.parametrize(("sent", "status"), ODD.values(), ids=ODD)
def test_both_twins_say_the_same(naive_url: str, async_url: str, sent: bytes, status: int) -> None:
    if status != 200:
        naive, async_ = ask(naive_url, sent), ask(async_url, sent)
        check_alike(naive, async_)
        assert (naive.headers["Connection"] == "close") == (async_.headers["Connection"] == "close")


@pytest.mark.parametrize("sent", [sent for sent, _ in ODD.values() if sent[:4] != b"HEAD"])
def test_it_has_one_answer(twin_url: str, sent: bytes) -> None:
    with client.connect(twin_url) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        answered = [status for status, _ in every_answer(connection) if status != 100]
        assert len(answered) == 1, answered


def every_answer(connection: socket.socket) -> list[tuple[int, bytes]]:
    """Status and body of each until the server hangs up."""
    found = []
    with connection.makefile("rb") as answers:
        while line := answers.readline():
            headers = parse_headers(answers)
            found.append((int(line.split()[1]), answers.read(int(headers.get("Content-Length", "0")))))
    return found


UPGRADES = {
    "h2c": ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQ"),
    "websocket": ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: eA=="),
}


@pytest.mark.parametrize("upgrade", UPGRADES.values(), ids=UPGRADES)
@pytest.mark.parametrize("packets", [1, 2])
def test_the_body_of_an_upgrade_is_never_a_request(
    twin_url: str, upgrade: tuple[str, ...], packets: int
) -> None:
    """Its body is a whole request; the answer is the body's error, and the next request has its own."""
    hidden = event(f"hidden {twin_url} {packets} {upgrade}")
    body = head(JSON, f"Content-Length: {len(hidden)}") + hidden
    after = f"after an upgrade {twin_url} {packets} {upgrade}"
    with client.connect(twin_url) as connection:
        start = head(JSON, f"Content-Length: {len(body)}", *upgrade)
        if packets == 1:
            connection.sendall(start + body)
        else:
            connection.sendall(start)
            ask(twin_url, head(method="GET", path=client.HEALTH))  # by now it has read the head
            connection.sendall(body)
        check_failure(receive(connection), 400)
        connection.sendall(head(JSON, f"Content-Length: {len(event(after))}") + event(after))
        assert receive(connection).status == 200
    assert client.issue(twin_url, fingerprint(after)).times_seen == 1
    message = json.loads(hidden)["message"]
    assert client.get(twin_url, f"{client.ERRORS}/{fingerprint(message)}").status == 404


@pytest.mark.parametrize("packets", [1, 2])
def test_a_client_that_always_asks_for_an_upgrade_has_each_event_counted_once(
    twin_url: str, packets: int
) -> None:
    """A stock Java client does, on a connection that it keeps, and sends head and body apart."""
    messages = [f"{number} of many upgrades {twin_url} {packets}" for number in range(4)]
    with client.connect(twin_url) as connection:
        for number, message in enumerate(messages):
            body = event(message)
            start = head(JSON, f"Content-Length: {len(body)}", *(UPGRADES["h2c"] if number else ()))
            if packets == 1:
                connection.sendall(start + body)
            else:
                connection.sendall(start)
                ask(twin_url, head(method="GET", path=client.HEALTH))  # by now it has read the head
                connection.sendall(body)
            assert receive(connection).status == 200
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b"", "an answer to nothing"
    assert [client.issue(twin_url, fingerprint(message)).times_seen for message in messages] == [1] * 4


def test_the_answer_that_is_owed_comes_first(twin_url: str) -> None:
    body = event(f"before garbage {twin_url}")
    with client.connect(twin_url) as connection:
        connection.sendall(head(JSON, f"Content-Length: {len(body)}") + body + b"\x00garbage\r\n\r\n")
        (kept, _), (refused, said) = every_answer(connection)
    assert (kept, refused, json.loads(said)["statusCode"]) == (200, 400, 400)


def test_requests_of_all_kinds_in_one_packet_are_answered_in_order(twin_url: str) -> None:
    body = event(f"one packet {twin_url}")
    hot = head(JSON, f"Content-Length: {len(body)}") + body
    slow = head(method="GET", path=client.ERRORS)
    upgrade = head(JSON, f"Content-Length: {len(body)}", *UPGRADES["h2c"]) + body
    unknown = head(method="GET", path="/nowhere")
    with client.connect(twin_url) as connection:
        connection.sendall(hot + slow + upgrade + unknown + hot + b"nonsense\r\n\r\n")
        statuses = [status for status, _ in every_answer(connection)]
    assert statuses == [200, 200, 200, 404, 200, 400]


def test_nothing_is_done_behind_a_last_request(twin_url: str) -> None:
    last, behind = event(f"last {twin_url}"), event(f"behind the last {twin_url}")
    with client.connect(twin_url) as connection:
        connection.sendall(
            head(JSON, f"Content-Length: {len(last)}", "Connection: close")
            + last
            + head(JSON, f"Content-Length: {len(behind)}")
            + behind
        )
        assert [status for status, _ in every_answer(connection)] == [200]
    assert client.issue(twin_url, fingerprint(json.loads(last)["message"])).times_seen == 1
    unknown = fingerprint(json.loads(behind)["message"])
    assert client.get(twin_url, f"{client.ERRORS}/{unknown}").status == 404


def test_who_sends_no_more_still_gets_the_answer(twin_url: str) -> None:
    body = event(f"half-closed {twin_url}")
    with client.connect(twin_url) as connection:
        connection.sendall(head(JSON, f"Content-Length: {len(body)}") + body)
        connection.shutdown(socket.SHUT_WR)
        assert receive(connection).status == 200


@pytest.mark.parametrize("options", ["keep-alive", "Keep-Alive, TE"])
def test_http_1_0_may_keep_its_connection(twin_url: str, options: str) -> None:
    body = event(f"HTTP/1.0 {twin_url}")
    request = head(JSON, f"Connection: {options}", f"Content-Length: {len(body)}") + body
    with client.connect(twin_url) as connection:
        for _ in range(2):
            connection.sendall(request.replace(b"HTTP/1.1", b"HTTP/1.0", 1))
            answer = receive(connection)
            assert (answer.status, answer.headers["Connection"]) == (200, "keep-alive")


@pytest.mark.parametrize("options", [("close",), ("Close",), ("TE, close",), ("close,TE",), ("TE", "close")])
def test_to_close_may_be_one_of_several_options(twin_url: str, options: tuple[str, ...]) -> None:
    """As Perl's LWP sends it."""
    body = event(f"closes {options} {twin_url}")
    asked = [f"Connection: {option}" for option in options]
    with client.connect(twin_url) as connection:
        connection.sendall(head(JSON, f"Content-Length: {len(body)}", "TE: deflate", *asked) + body)
        answer = receive(connection)
        assert (answer.status, answer.headers["Connection"]) == (200, "close")
        assert client.is_closed(connection)


@pytest.mark.parametrize(
    "asked",
    [
        ("Connection: keep-alive, close",),
        ("Connection: close, keep-alive",),
        ("Connection: keep-alive", "Connection: close"),
        ("Connection: keep-alive, close, Upgrade", "Upgrade: h2c"),
        ("Connection: close\t, keep-alive",),
    ],
)
@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1"])
def test_who_asks_for_both_is_hung_up_on(twin_url: str, version: bytes, asked: tuple[str, ...]) -> None:
    body = event(f"closes or not {version!r} {asked} {twin_url}")
    request = head(JSON, f"Content-Length: {len(body)}", *asked) + body
    with client.connect(twin_url) as connection:
        connection.sendall(request.replace(b"HTTP/1.1", version, 1))
        answer = receive(connection)
        assert (answer.status, answer.headers["Connection"]) == (200, "close")
        assert client.is_closed(connection)


def test_nearly_close_is_another_option(twin_url: str) -> None:
    body = event(f"nearly close {twin_url}")
    request = head(JSON, f"Content-Length: {len(body)}", "Connection: close?") + body
    with client.connect(twin_url) as connection:
        for _ in range(2):
            connection.sendall(request.replace(b"close?", b"close\xa0"))
            answer = receive(connection)
            assert answer.status == 200
            assert answer.headers["Connection"] != "close"
