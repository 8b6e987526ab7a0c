"""What a fault is done to: a running twin with its servers."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from random import Random
from typing import Any

import pymysql

from async_dedup.buffer import Buffer
from loadtests.stack import Stack
from loadtests.stack.nodes import Nodes
from loadtests.stack.proxy import Proxy
from loadtests.stack.roles import ROLES_OF
from loadtests.trial.generator import TrialFailed

API = "api"
"""The server of the twin that is under test, whichever it is."""
WORKER, SCHEDULER, REDIS, MYSQL = "worker", "scheduler", "redis", "mysql"
STORES = (REDIS, MYSQL)
Hold = Callable[["World"], AbstractContextManager[None]]
"""A fault is there in the block, and undone when it ends."""
LIMIT = 30.0
"""Seconds in which what a fault waits for has to happen."""


class World:
    """The twin is started by `start_twin`, within what a fault has put around it."""

    def __init__(self, stack: Stack, twin: str, seed: int) -> None:
        self.stack = stack
        self.twin = twin
        self.random = Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self.redis: Any = Buffer(stack.settings).redis
        self.proxy: Proxy | None = None
        self.nodes: Nodes
        """Where the API has two; without them there is nothing between them either."""
        self._around: dict[str, dict[str, str]] = {}

    def start_twin(self) -> None:
        self.start(API, *ROLES_OF[self.twin][1:])

    def role(self, name: str) -> str:
        return self.twin if name == API else name

    def start(self, *names: str, **environment: str) -> None:
        """Side by side: worker and scheduler wait for MySQL."""
        more = {self.role(name): self._around.get(name, {}) | environment for name in names}
        self.stack.start(*more, more=more)

    def stop(self, name: str) -> None:
        self.stack.stop(self.role(name))

    def kill(self, name: str) -> None:
        self.stack.kill(self.role(name))

    def pid(self, name: str) -> int:
        return self.stack.pid(self.role(name))

    def is_alive(self, name: str) -> bool:
        return self.stack.alive(self.role(name))

    def pause(self, least: float, most: float) -> None:
        time.sleep(self.random.uniform(least, most))

    def await_end(self, name: str) -> None:
        self.await_that(lambda: not self.is_alive(name), f"{name} has ended")

    def await_that(self, true: Callable[[], object], what: str) -> None:
        """Raises TrialFailed where that does not come about."""
        deadline = time.monotonic() + LIMIT
        while not true():
            if time.monotonic() > deadline:
                raise TrialFailed(f"{LIMIT:.0f} s and not yet so: {what}")
            time.sleep(0.01)

    @contextmanager
    def mysql_root(self) -> Iterator["pymysql.cursors.Cursor"]:
        """Through the Unix socket, as only the stack's owner can."""
        connection = pymysql.connect(
            unix_socket=str(self.stack.mysql.socket),
            user="root",
            database=self.stack.settings.mysql_database,
            autocommit=True,
        )
        with connection, connection.cursor() as cursor:
            yield cursor

    @contextmanager
    def around(self, environment: dict[str, str], *names: str) -> Iterator[None]:
        """Those of the twin's processes that are started in the block have it."""
        self._around |= dict.fromkeys(names, environment)
        yield
        for name in names:
            del self._around[name]
