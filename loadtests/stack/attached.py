"""The twins where they run already, as in containers: loaded through their ports, and else left alone."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from loadtests.stack import Stack, StackError, process
from loadtests.stack.private import private_folder
from loadtests.stack.roles import SERVED, port_of
from loadtests.stack.servers import LOOPBACK, is_heard
from loadtests.stack.stack import NOTHING
from shared.settings import Settings


class Attached(Stack):
    """Stands where a Stack does, and starts, stops and empties nothing."""

    def __init__(self, run_dir: Path, settings: Settings) -> None:
        super().__init__(run_dir, settings)
        self._observers = {}
        self._ports = {
            "mysql": settings.mysql_port,
            "redis": settings.redis_port,
            **{name: port_of(subject, settings)[1] for name, subject in SERVED.items()},
        }

    def __enter__(self) -> Self:
        private_folder(self.run_dir / "logs")
        self._cleanup = ExitStack()
        self._cleanup.enter_context(process.interrupted_by_signals())
        return self

    def start(self, *roles: str, more: Mapping[str, Mapping[str, str]] = NOTHING) -> None:  # noqa: ARG002
        """Raise StackError where one of them is not there."""
        for role in roles:
            if not is_heard(self._ports[role]):
                raise StackError(f"{role} does not run: nobody listens on {LOOPBACK}:{self._ports[role]}")

    def stop(self, role: str) -> None:
        pass

    def base_url(self, twin: str) -> str:
        return f"http://{LOOPBACK}:{self._ports[twin]}"
