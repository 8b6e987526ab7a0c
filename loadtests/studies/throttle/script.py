"""What happens to the servers while a load runs, and which mode the throttle is in meanwhile."""

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

from loadtests.load.progress import Progress, Show
from loadtests.stack.scrape import fetch

EVERY = 0.25
"""Seconds between two looks at the mode: each costs a node the text of a scrape."""
MODE = re.compile(r'^throttle_mode\{mode="(\w+)"\} 1\.0$', re.MULTILINE)


class Step(NamedTuple):
    at: float
    """Seconds after the begin."""
    name: str
    do: Callable[[], None]


class Script:
    """Does its steps in order; a driver's `show`, which is called several times a second."""

    def __init__(self, begins: Callable[[Progress], bool], steps: Sequence[Step], show: Show) -> None:
        """`begins` tells by a line of the generator's whether it is time."""
        self._begins = begins
        self._steps = [*steps]
        self._show = show
        self._began: float | None = None
        self.done: list[tuple[str, float]] = []
        """Each step's name, and when it was done, in seconds since 1970."""

    def __call__(self, progress: Progress) -> None:
        self._show(progress)
        if self._began is None and self._begins(progress):
            self._began = time.monotonic()
        while self._steps and self._began is not None and time.monotonic() >= self._began + self._steps[0].at:
            self._next()

    def finish(self) -> None:
        """Do what the load has left no time for."""
        while self._steps:
            self._next()

    def _next(self) -> None:
        step = self._steps.pop(0)
        began = time.time()
        step.do()
        self.done.append((step.name, began))


class Seen(NamedTuple):
    """A node is in another mode than before."""

    at: float
    """Seconds since 1970."""
    node: str
    mode: str


@contextmanager
def modes(addresses: Mapping[str, str]) -> Iterator[list[Seen]]:
    """Look at the nodes for the time of the block; who does not answer is in the mode that it was in."""
    seen: list[Seen] = []
    end = threading.Event()

    def watch() -> None:
        last: dict[str, str] = {}
        while not end.wait(EVERY):
            for node, address in addresses.items():
                found = MODE.search(fetch(address, timeout=1) or "")
                if found and last.get(node) != found[1]:
                    last[node] = found[1]
                    seen.append(Seen(time.time(), node, found[1]))

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            yield seen
        finally:
            end.set()
        watching.result()  # a look that failed must not pass for a mode that stayed
