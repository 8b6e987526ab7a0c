"""Child processes that don't outlive their parent, and signals that wait for a good moment."""

import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import psutil

from loadtests.bootstrap import ROOT
from loadtests.stack.private import UMASK, opener

STOP_LIMIT = 15.0
"""Seconds that a process has after SIGTERM before it gets SIGKILL."""
OPEN_FILES = 10_240
LOWEST = 19
AUTOGROUP_TRIES = 20
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def spawn(
    command: list[str],
    log: Path,
    env: dict[str, str],
    cpus: set[int] | None,
    orphaned: signal.Signals = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own, on `cpus` (None: any), its output appended to `log`.

    On Linux it gets the signal `orphaned`, it alone, as soon as this process is gone. Call this from the main
    thread only: there the *thread* that started it counts.
    """
    parent = os.getpid()

    def prepare() -> None:
        # Python ignores it, and undoes that in a child. A write beyond a limit is to fail, as on a full disk.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, orphaned)
            if os.getppid() != parent:  # it died before the line above
                os._exit(1)
        if cpus is not None:
            os.sched_setaffinity(0, cpus)

    with open(log, "ab", opener=opener) as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=env,
            start_new_session=True,
            umask=UMASK,
            preexec_fn=prepare,  # noqa: PLW1509 - it takes no lock that a thread may hold
        )


def come_last(process: subprocess.Popen[bytes]) -> None:
    """Give all threads of `process` and of its group the lowest priority."""
    os.setpriority(os.PRIO_PGRP, process.pid, LOWEST)
    # Where Linux shares the CPU out by session, that alone counts only within one, and each has its own.
    group = Path(f"/proc/{process.pid}/autogroup")
    for _ in range(AUTOGROUP_TRIES if group.exists() else 0):
        try:
            group.write_text(str(LOWEST))
        except BlockingIOError:  # ten changes a second are all that others than root may make
            time.sleep(0.1)
        else:
            return


def stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, `STOP_LIMIT` seconds of patience, then SIGKILL for it and for what it left behind."""
    family = descendants(process)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_LIMIT)
    kill(process, family)


def kill(process: subprocess.Popen[bytes], family: list[psutil.Process] | None = None) -> None:
    """SIGKILL `process` with its group and its descendants, and wait for it to be gone."""
    for child in descendants(process) if family is None else family:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    # Of a dead one the group is what it left behind; its id may by now be a stranger's.
    if process.poll() is None or not psutil.pid_exists(process.pid):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def descendants(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Children of every generation, also those that left the process group, as an RQ work horse does."""
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


@contextmanager
def signals_held() -> Iterator[None]:
    """Put signals off to the end of the block, so that no process is started and then forgotten."""
    pending: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        pending.append(number)

    before = {
        number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for each in pending:
            signal.raise_signal(each)


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Ctrl-C, SIGTERM and a lost terminal raise KeyboardInterrupt: `with` blocks end in order."""
    # One that is ignored, as under nohup, stays so.
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    mine = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
    for number in mine:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in mine.items():
            signal.signal(number, handler)


@contextmanager
def on_cpus(cpus: set[int] | None) -> Iterator[None]:
    """Keep the calling thread on `cpus` in the block; None: leave it where it is."""
    before = os.sched_getaffinity(0) if cpus is not None else set()
    if cpus is not None:
        os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        if cpus is not None:
            os.sched_setaffinity(0, before)


def raise_open_file_limit() -> None:
    """500 users are 500 sockets on either side; a soft limit of 256 or 1,024 is common."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
