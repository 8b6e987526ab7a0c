"""Idle connections that MySQL has closed: the next request is answered all the same."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress

import pymysql
import pytest

from loadtests.stack import Stack
from shared.db import create_tables, make_background_engine, make_engine
from shared.fingerprint import fingerprint
from tests import client
from tests.parts import wait_until

TWINS = "user = 'twins' AND command = 'Sleep'"
SCHEDULER_AND_WORKER = 2


def ask(stack: Stack, statement: str) -> list[tuple[str, ...]]:
    """By root: to set what is global needs more than the twins may."""
    root = pymysql.connect(unix_socket=str(stack.mysql.socket), user="root")
    with root, root.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def idle(stack: Stack) -> list[int]:
    return [int(row[0]) for row in ask(stack, f"SELECT id FROM information_schema.processlist WHERE {TWINS}")]


def kill(stack: Stack, connections: Sequence[int]) -> None:
    for connection in connections:
        with suppress(pymysql.err.OperationalError):  # it has just ended by itself
            ask(stack, f"KILL {connection}")


def fill_pool(url: str) -> None:
    """Several connections, so that each of them has to be found dead."""
    together = threading.Barrier(8)

    def request() -> None:
        together.wait(10)
        client.get(url, client.ERRORS)

    threads = [threading.Thread(target=request) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_connection_that_was_killed_costs_no_request(stack: Stack, twin_url: str) -> None:
    fill_pool(twin_url)
    killed = idle(stack)
    assert killed
    kill(stack, killed)
    for _ in range(10):
        assert client.log(twin_url, f"after the kill of {twin_url}").status == 200
        assert client.get(twin_url, client.ERRORS).status == 200
    key = fingerprint(f"after the kill of {twin_url}")
    wait_until(lambda: client.issue(twin_url, key).times_seen == 10)


@pytest.fixture
def impatient(stack: Stack) -> Iterator[None]:
    """A MySQL that closes what is idle for a second."""
    ((_, before),) = ask(stack, "SHOW GLOBAL VARIABLES LIKE 'wait_timeout'")
    ask(stack, "SET GLOBAL wait_timeout = 1")
    kill(stack, idle(stack))  # so that all are new, and of that mind
    yield
    ask(stack, f"SET GLOBAL wait_timeout = {before}")


def test_a_connection_that_was_idle_for_too_long_costs_no_request(
    stack: Stack, twin_url: str, impatient: None
) -> None:
    fill_pool(twin_url)
    opened = set(idle(stack))
    wait_until(lambda: len(opened & set(idle(stack))) <= SCHEDULER_AND_WORKER)
    for _ in range(10):
        assert client.get(twin_url, client.ERRORS).status == 200
        assert client.log(twin_url, f"after {twin_url} was idle").status == 200


def test_it_is_seen_without_a_round_trip(stack: Stack) -> None:
    engine = make_engine(stack.settings, 1)
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
    with engine.connect() as connection:
        (before,) = connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Questions'").all()
    with engine.connect() as connection:
        (after,) = connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Questions'").all()
    # The rollback of the first, and the question itself.
    assert int(after[1]) - int(before[1]) == 2
    engine.dispose()


def test_without_mysql_it_is_still_said(stack: Stack, naive_url: str) -> None:
    fill_pool(naive_url)
    stack.kill("mysql")
    answer = client.get(naive_url, client.ERRORS)
    assert (answer.status, answer.json["message"]) == (503, "MySQL is not available")
    stack.start("mysql")
    assert client.get(naive_url, client.ERRORS).status == 200


def test_a_packet_that_is_too_small_is_told_at_the_start(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    ((before,),) = ask(stack, "SELECT @@global.max_allowed_packet")
    ask(stack, "SET GLOBAL max_allowed_packet = 524288")
    try:
        create_tables(make_background_engine(stack.settings))
    finally:
        ask(stack, f"SET GLOBAL max_allowed_packet = {before}")
    assert "max_allowed_packet is 524288 bytes" in caplog.text
    caplog.clear()
    create_tables(make_background_engine(stack.settings))
    assert not caplog.text
