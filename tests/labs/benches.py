"""Where a lab's experiments run in the tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loadtests.stack import Stack
from loadtests.stack.servers import free_port
from tests.parts import alone


class FakeBench:
    """Without servers, for a lab that needs none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.is_quiet = False
        self.live_port = free_port()

    @contextmanager
    def stack(self, **_: Any) -> Iterator[Stack]:
        raise AssertionError("this lab needs no servers")
        yield

    @contextmanager
    def quiet(self) -> Iterator[None]:
        self.is_quiet = True
        yield
        self.is_quiet = False

    def step(self, text: str) -> None:
        pass


class SharedBench(FakeBench):
    def __init__(self, folder: Path, stack: Stack) -> None:
        super().__init__(folder)
        self._stack = stack

    @contextmanager
    def stack(self, **settings: Any) -> Iterator[Stack]:
        assert self._stack.settings.model_dump().items() >= settings.items(), "as the lab asks for"
        with alone(self._stack):
            yield self._stack
