"""The short way: which requests take it, and that nobody can tell from the answer."""

import json
from http.client import RemoteDisconnected

import pytest

from loadtests.trial.cases import BAD_EVENTS
from shared import metrics
from shared.event import PATH
from tests import client
from tests.async_dedup.served import JSON, TWICE, Served, receive_exactly, request
from tests.client import head, receive
from tests.parts import wait_until

REQUESTS = {
    "plain": (request(b"{}"), b"short"),
    "other headers": (request(b"{}", "User-Agent: a", "Accept: */*", "Connection: keep-alive"), b"short"),
    "64 KiB": (request(b"x" * 65_536), b"short"),
    "no body": (request(b""), b"short"),
    "more than 64 KiB": (request(b"x" * 65_537), b"long"),
    "last one": (request(b"{}", "Connection: close"), b"long"),
    "HTTP/1.0": (request(b"{}").replace(b"HTTP/1.1", b"HTTP/1.0", 1), b"long"),
    "in chunks": (head(JSON, "Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\n\r\n", b"long"),
    "no media type": (head("Content-Length: 2") + b"{}", b"long"),
    "another media type": (head("Content-Type: text/plain", "Content-Length: 2") + b"{}", b"long"),
    "media type with a charset": (head(JSON + ";charset=utf-8", "Content-Length: 2") + b"{}", b"long"),
    "a header twice": (request(b"{}", *TWICE), b"long"),
    "an upgrade": (request(b"{}", "Connection: upgrade", "Upgrade: h2c"), b"short"),
    "another path": (request(b"{}", path=PATH + "/"), b"long"),
    "with a query": (request(b"{}", path=PATH + "?a=1"), b"long"),
    "another method": (request(b"{}", method="GET"), b"long"),
}


@pytest.mark.parametrize(("sent", "way"), REQUESTS.values(), ids=REQUESTS)
def test_only_plain_requests_take_the_short_way(served: Served, sent: bytes, way: bytes) -> None:
    with client.connect(served.url) as connection:
        connection.sendall(sent)
        answer = receive(connection)
    assert (answer.status, answer.body) == (200, way)


def test_who_asks_first_is_told_to_go_on(served: Served) -> None:
    with client.connect(served.url) as connection:
        connection.sendall(head(JSON, "Content-Length: 2", "Expect: 100-continue"))
        assert connection.recv(1_000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"{}")
        assert receive(connection).body == b"long"


def test_answers_come_in_the_order_of_their_requests(served: Served) -> None:
    """The first is answered last, and no later one overtakes it."""
    with client.connect(served.url) as connection:
        connection.sendall(request(b"later") + request(b"{}") + request(b"{}", *TWICE) + request(b"{}"))
        wait_until(lambda: served.ways.owed)
        served.pay()
        answers = [receive_exactly(connection) for _ in range(4)]
        connection.sendall(request(b"{}"))
        assert receive(connection).body == b"short"
    assert answers[0] == b"short, later"
    assert set(answers[1:]) <= {b"short", b"long"}


def test_a_bug_is_a_500_and_the_connection_goes_on(served: Served) -> None:
    with client.connect(served.url) as connection:
        connection.sendall(request(b"bug"))
        answer = receive(connection)
        assert (answer.status, answer.json["statusCode"]) == (500, 500)
        connection.sendall(request(b"{}"))
        assert receive(connection).body == b"short"


def test_a_client_that_leaves_is_forgotten(served: Served) -> None:
    """One in the middle of its body, one before its answer; the others don't notice."""
    before = len(metrics.in_flight)
    with client.connect(served.url) as halfway, client.connect(served.url) as impatient:
        halfway.sendall(request(b"{}")[:-1])
        impatient.sendall(request(b"later"))
        wait_until(lambda: len(metrics.in_flight) == before + 2)
    wait_until(lambda: len(metrics.in_flight) == before + 1)
    served.pay()
    wait_until(lambda: len(metrics.in_flight) == before)
    with client.connect(served.url) as another:
        another.sendall(request(b"{}"))
        assert receive(another).body == b"short"


def test_a_server_that_stops_pays_what_it_owes(served: Served) -> None:
    with client.connect(served.url) as owed, client.connect(served.url) as idle:
        owed.sendall(request(b"later"))
        idle.sendall(request(b"{}"))
        assert receive(idle).body == b"short"
        wait_until(lambda: served.ways.owed)
        served.stop()
        with pytest.raises(RemoteDisconnected):
            receive(idle)
        served.pay()
        answer = receive(owed)
        assert (answer.body, answer.headers["connection"]) == (b"short, later", "close")


EVENTS = {name: body for name, (body, _) in BAD_EVENTS.items()} | {"good": b'{"message": "both ways"}'}


@pytest.mark.parametrize("body", EVENTS.values(), ids=EVENTS)
def test_both_ways_give_the_same_answer(async_url: str, body: bytes) -> None:
    short, long = (answer_to(async_url, request(body, *headers)) for headers in ((), TWICE))
    assert short == long


@pytest.mark.parametrize("digits", [20, 21, 4_300, 4_301, 9_000])
def test_a_length_with_zeros_in_front_gets_the_same_answer_both_ways(async_url: str, digits: int) -> None:
    """Python makes no number of more than 4,300 digits; nobody needs more than 20."""
    start = head(JSON, f"Content-Length: {2:0{digits}}")
    short, long = (answer_to(async_url, start[:-2] + more + b"\r\n{}") for more in (b"", b"X: a\r\nX: b\r\n"))
    assert short == long
    assert short[2]["message"] == (
        "The event is not valid" if digits == 20 else "The request is not valid HTTP"
    )


def answer_to(url: str, sent: bytes) -> tuple[int, list[str], dict[str, object]]:
    """Its status, its headers, and its body but for the time."""
    with client.connect(url) as connection:
        connection.sendall(sent)
        answer = receive(connection)
    headers = [f"{name}: {value}" for name, value in answer.headers.items() if name != "date"]
    return answer.status, headers, json.loads(answer.body) | {"timestamp": None}
