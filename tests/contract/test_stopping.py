"""A server that is to stop does so by itself, whoever still holds a connection."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from select import select

import pytest
from pymysql.cursors import Cursor

from async_dedup.connection import UNREAD_SECONDS
from loadtests.load.subjects import ASYNC, TWINS
from loadtests.stack import Stack
from loadtests.stack.process import STOP_LIMIT
from loadtests.stack.roles import define_roles
from tests import client
from tests.client import head, receive
from tests.conftest import free_settings
from tests.contract.test_hostile import HALVES
from tests.contract.test_wire import JSON, event
from tests.parts import running, wait_until

ENDS = 60
"""Seconds, several times what any deadline allows."""
BEGINS = ("Handling signal: term", "Shutting down")
"""What gunicorn and uvicorn say of it."""
ACROSS = head(JSON, "Content-Length: 20000") + b" " * 19_000
"""Of a request that is not parsed in one piece."""


@pytest.fixture(params=TWINS)
def stopping(
    stack: Stack, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """A twin of the test's own, on the stack's servers; its address and its process."""
    stack.start("mysql", "redis")
    own = free_settings().model_copy(
        update={
            **{"mysql_port": stack.settings.mysql_port, "redis_port": stack.settings.redis_port},
            "spool_folder": tmp_path / "spool",
        }
    )
    role = define_roles(stack.run_dir, own, stack.mysql)[request.param]
    with running(own, tmp_path / "log", *role.command[1:]) as process:
        wait_until(role.is_ready)
        yield f"http://{role.address}", process


def test_no_client_holds_it(stopping: tuple[str, "subprocess.Popen[bytes]"]) -> None:
    url, process = stopping
    whole, list_all = event("before the end"), head(method="GET", path=client.ERRORS)
    whole = head(JSON, f"Content-Length: {len(whole)}") + whole
    kinds = {**HALVES, "across a piece": whole + ACROSS, "much owed": list_all * 400}
    with ExitStack() as opened:
        for said in kinds.values():
            opened.enter_context(client.connect(url)).sendall(said)
        bad = opened.enter_context(client.connect(url))
        bad.sendall(head(JSON, "Content-Length: 2") + b"{}" + ACROSS)
        assert receive(bad).status == 400
        process.terminate()
        assert process.wait(ENDS) in (0, -signal.SIGTERM)


def test_what_is_owed_is_paid(
    stack: Stack, tmp_path: Path, stopping: tuple[str, "subprocess.Popen[bytes]"]
) -> None:
    url, process = stopping
    assert client.log(url, "to be listed").status == 200
    with client.connect(url) as connection:
        with closing(stack.mysql.connect()) as locking, locking.cursor() as cursor:
            cursor.execute("LOCK TABLES issues WRITE")
            connection.sendall(head(method="GET", path=client.ERRORS))
            wait_until(lambda: waiting(cursor))
            process.terminate()
            log = tmp_path / "log"
            wait_until(lambda: any(word in log.read_text() for word in BEGINS))
            assert not select([connection], [], [], 0)[0]
        assert receive(connection, "GET").status == 200
    assert process.wait(ENDS) in (0, -signal.SIGTERM)


def waiting(cursor: Cursor) -> int:
    """How many of MySQL's clients wait for the table."""
    cursor.execute("SHOW PROCESSLIST")
    return sum("lock" in str(row[6]) for row in cursor.fetchall())


def test_the_wait_for_others_is_bounded(stack: Stack) -> None:
    """A client may have thought of something: who stops the server kills it at STOP_LIMIT."""
    command = define_roles(stack.run_dir, stack.settings, stack.mysql)[ASYNC].command
    bound = float(command[command.index("--timeout-graceful-shutdown") + 1])
    assert UNREAD_SECONDS < bound < STOP_LIMIT
