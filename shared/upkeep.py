"""Threads that a process has beside its work; they end before its interpreter does.

CPython takes itself apart around a daemon thread that still runs, which on a busy machine can end in SIGSEGV.
"""

import atexit
from collections.abc import Callable
from threading import Thread


def begin(work: Callable[[], object], end: Callable[[], object]) -> None:
    """Have `work` done in a thread until the process ends; `end`, called then, makes it return."""
    thread = Thread(target=work, daemon=True)
    thread.start()

    @atexit.register
    def finish() -> None:
        end()
        thread.join()
