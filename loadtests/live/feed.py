"""The last samples, for any number of readers who wait for the next one."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from threading import Condition

from loadtests.live.sampler import Sample

KEPT = 300
"""10 minutes of samples."""
GOODBYE = 1.0
"""Seconds that readers have at the end."""


class Feed:
    """Safe for threads."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=KEPT)
        self._added = 0
        self._readers = 0
        self._ended = False
        self._changed = Condition()

    def add(self, sample: Sample) -> None:
        with self._changed:
            self._samples.append(sample)
            self._added += 1
            self._changed.notify_all()

    def end(self) -> None:
        """Tell every reader, and wait until they are done."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._readers, GOODBYE)

    @contextmanager
    def reader(self) -> Iterator[Iterator[list[Sample]]]:
        """Give all the samples that there are, then each as it comes, until the end."""
        with self._changed:
            self._readers += 1
        try:
            yield self._batches()
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    def _batches(self) -> Iterator[list[Sample]]:
        seen = 0
        while True:
            with self._changed:
                self._changed.wait_for(partial(self._has_more_than, seen))
                if seen == self._added:  # and no more will come
                    return
                # More than are kept gives all that are kept.
                new, seen = [*self._samples][seen - self._added :], self._added
            yield new

    def _has_more_than(self, seen: int) -> bool:
        return self._added > seen or self._ended
