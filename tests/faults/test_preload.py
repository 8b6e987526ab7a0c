"""Servers that build the app once and then fork: what its processes share must be nothing."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine

from async_dedup.buffer import Buffer
from loadtests.stack import Stack, process
from shared.fingerprint import fingerprint
from tests.client import log
from tests.conftest import is_free
from tests.parts import alone, counted, running, times_seen, wait_until

PRELOAD = ("-m", "gunicorn", "--no-control-socket", "--preload", "--workers", "2")
EVENTS = 200


@pytest.fixture(scope="module", autouse=True)
def _alone(stack: Stack) -> Iterator[None]:
    with alone(stack):
        yield


def send_all(url: str) -> list[int]:
    """Each on a connection of its own, so that both processes get some."""
    with ThreadPoolExecutor(8) as users:
        return list(users.map(lambda number: log(url, f"event {number % 50}").status, range(EVENTS)))


def expected() -> dict[str, int]:
    return {fingerprint(f"event {number}"): EVENTS // 50 for number in range(50)}


@contextmanager
def preloaded(stack: Stack, log_file: Path, app: str, port: int, *options: str) -> Iterator[str]:
    """The address of a server with two processes, which all end with the block."""
    address = f"127.0.0.1:{port}"
    with running(stack.settings, log_file, *PRELOAD, "--bind", address, *options, app) as server:
        try:
            wait_until(lambda: not is_free(port))
            yield f"http://{address}"
        finally:
            process.stop(server)


def test_the_async_twin_loses_nothing_and_doubles_nothing(stack: Stack, tmp_path: Path) -> None:
    worker = ("--worker-class", "uvicorn.workers.UvicornWorker")
    port = stack.settings.async_port
    buffer, rounds = Buffer(stack.settings), 0
    with preloaded(stack, tmp_path / "log", "async_dedup.app:create_app()", port, *worker) as url:

        def both_have_worked() -> bool:
            nonlocal rounds
            rounds += 1
            assert send_all(url) == [200] * EVENTS
            return len(buffer.redis.keys("hpt:group:*")) == 2

        wait_until(both_have_worked)
    assert counted(buffer) == {key: events * rounds for key, events in expected().items()}


def test_the_naive_twins_processes_share_no_connection(stack: Stack, engine: Engine, tmp_path: Path) -> None:
    """Two that talk over one socket read each other's answers. Each event is another one: no flaw shows."""
    port = stack.settings.naive_port
    with (
        preloaded(stack, tmp_path / "log", "naive_sync.app:create_app()", port, "--threads", "8") as url,
        ThreadPoolExecutor(8) as users,
    ):
        answers = list(users.map(lambda number: log(url, f"naive {number}").status, range(EVENTS)))
    assert answers == [200] * EVENTS
    assert times_seen(engine).keys() >= {fingerprint(f"naive {number}") for number in range(EVENTS)}
