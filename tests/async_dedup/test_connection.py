"""Where requests, packets and pieces cross: all is read, and nobody stays for ever."""

import os
import socket
from contextlib import suppress
from functools import partial
from http.client import RemoteDisconnected

import pytest

from async_dedup import connection as timing
from async_dedup.connection import Connection
from async_dedup.framing import PIECE
from tests import client
from tests.async_dedup.served import TWICE, Served, receive_exactly, request
from tests.client import head, receive
from tests.parts import wait_until

SIZES = (PIECE, 20_000, 3 * PIECE, 4 * PIECE, 200_000)
"""Of bodies: none fits into what is parsed at once, the last one takes the long way by its size."""
ANSWER = 32_768


@pytest.mark.parametrize("size", SIZES)
def test_a_request_behind_one_that_waits_is_read_to_its_end(served: Served, size: int) -> None:
    with client.connect(served.url) as connection:
        connection.sendall(request(b"later") + request(b"x" * size) + request(b"{}"))
        wait_until(lambda: served.ways.owed)
        served.pay()
        assert receive_exactly(connection) == b"short, later"
        assert receive_exactly(connection) == b"long"
        assert receive(connection).body in (b"short", b"long")


@pytest.mark.parametrize("size", SIZES)
def test_a_request_behind_one_answered_at_once_is_read_to_its_end(served: Served, size: int) -> None:
    sent = request(b"x" * size)
    with client.connect(served.url) as connection:
        connection.sendall(request(b"bug") + sent[:-1])
        assert b"500" in receive_exactly(connection)
        connection.sendall(sent[-1:])
        assert receive(connection).body in (b"short", b"long")


@pytest.mark.parametrize("first", [b"later", b"bug"])
def test_a_client_that_leaves_in_such_a_request_is_forgotten(served: Served, first: bytes) -> None:
    with client.connect(served.url) as connection:
        connection.sendall(request(first) + request(b"x" * 20_000)[:-1])
        wait_until(lambda: served.ways.owed or first == b"bug")
        served.pay()
        receive_exactly(connection)
    wait_until(lambda: not served.connections)


def test_a_body_that_nobody_reads_is_not_taken(served: Served) -> None:
    with client.connect(served.url) as connection:
        connection.sendall(head("Content-Length: 100000000", path="/unread"))
        connection.settimeout(2)
        with pytest.raises(TimeoutError):
            connection.sendall(b"x" * 100_000_000)
        [taken] = served.connections
        assert len(taken.cycle.body) < 1_000_000
        served.loop.call_soon_threadsafe(served.ways.is_open.set)
        connection.settimeout(client.TIMEOUT)
        assert receive(connection).body == b"unread"


def test_whose_head_does_not_come_is_told_so_even_where_nobody_reads(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing brings that about: it is here so that a fault which does costs one connection for 10 s."""
    monkeypatch.setattr(timing, "HEAD_SECONDS", 0.5)
    with client.connect(served.url) as connection:
        connection.sendall(request(b"{}")[:9])
        wait_until(lambda: served.connections and served.connections[0].partial)
        served.loop.call_soon_threadsafe(served.connections[0].flow.pause_reading)
        assert receive(connection).status == 408


def leave_unread(served: Served, connection: socket.socket) -> Connection:
    """Have it owed a little more than the kernel takes."""
    connection.sendall(request(b"{}"))
    receive(connection)
    [owing] = served.connections
    descriptor = owing.transport.get_extra_info("socket").fileno()
    with socket.socket(fileno=os.dup(descriptor)) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
    while not owing.transport.get_write_buffer_size():
        answered = served.server.server_state.total_requests
        connection.sendall(request(b"later"))
        wait_until(lambda: served.ways.owed)
        served.pay(b"x" * ANSWER)
        wait_until(partial(is_answered, served, answered))
    assert not owing.flow.write_paused
    return owing


def is_answered(served: Served, before: int) -> bool:
    return served.server.server_state.total_requests > before


def test_who_takes_nothing_of_a_short_answer_is_hung_up_on(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "UNREAD_SECONDS", 0.5)
    with client.connect(served.url) as connection:
        leave_unread(served, connection)
        wait_until(lambda: not served.connections)


def test_a_server_that_stops_does_not_wait_for_who_takes_nothing(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "UNREAD_SECONDS", 0.5)
    with client.connect(served.url) as connection:
        leave_unread(served, connection)
        served.stop()
        wait_until(lambda: not served.thread.is_alive())


def test_who_is_slow_to_take_a_last_answer_gets_it_all(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time runs out for what it still sends, not for what it is owed."""
    looks: list[object] = []
    waits_for = Connection.waits_for

    def look(self: Connection) -> tuple[object, float] | None:
        looks.append(self)
        return waits_for(self)

    monkeypatch.setattr(Connection, "waits_for", look)
    monkeypatch.setattr(timing, "LINGER_SECONDS", 0.0)
    with client.connect(served.url) as connection:
        owing = leave_unread(served, connection)
        connection.sendall(request(b"{}", *TWICE, "Connection: close"))
        wait_until(lambda: owing.lingering)
        seen = looks.count(owing)
        wait_until(lambda: looks.count(owing) > seen + 3)
        connection.setblocking(True)
        taken = bytearray()
        with suppress(RemoteDisconnected):
            while data := connection.recv(65_536):
                taken += data
        assert taken.endswith(b"long")
