"""What the tests of limits and growth share."""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from loadtests.live.terminal import Display
from loadtests.stack import Stack
from loadtests.studies.study import Measured, Setup
from tests.parts import alone
from tests.samples import results


class Shared(Setup):
    """With the stack of the test run instead of one of its own."""

    def __init__(self, stack: Stack, **options: Any) -> None:
        super().__init__(Namespace(seed=1, **options), Display(Console(quiet=True), 0))
        self._stack = stack

    @contextmanager
    def stack(self, *, pin: bool = True, **_: Any) -> Iterator[Stack]:  # noqa: ARG002
        with alone(self._stack):
            yield self._stack


def measured(values: Any) -> Measured:
    return {
        "started_at": "2026-01-01T00:00:00+00:00",
        "seconds": 12.3,
        "commit": "0123456789ab",
        "seed": 1,
        "environment": results([])["environment"],
        "values": values,
    }
