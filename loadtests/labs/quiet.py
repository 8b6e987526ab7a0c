"""What is timed wants the machine for itself: of all who share it one at a time."""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from loadtests.stack.place import learner
from loadtests.stack.private import opener
from loadtests.trial.observation import machine_shares
from loadtests.trial.validity import MOST_OTHERS

LOOK_SECONDS = 0.5
"""For which it is seen what else the machine does."""


@contextmanager
def quiet(run_dir: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Wait until no other learner of `run_dir` is in such a block; one that is killed leaves it.

    `say` is told of whoever is waited for, and of other work, which nobody can wait for.
    """
    run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(run_dir / "quiet", "a+", opener=opener) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            say(
                f"{file.read() or 'Another learner'} measures now, and this wants a quiet machine, too: it "
                "goes on by itself when it is your turn. Ctrl-C leaves."
            )
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(learner() or "")
        file.flush()
        # The load average would still hold what the one before has measured, or this learner.
        if (share := _others()) > MOST_OTHERS:
            say(
                f"{share:.0%} of the CPU time goes to other work on this machine just now: what is timed "
                "here may come out otherwise when it is quiet."
            )
        yield


def _others() -> float:
    """Return the share of all CPU time that is not to be had, while this process only waits."""
    before = psutil.cpu_times()._asdict()
    time.sleep(LOOK_SECONDS)
    return sum(machine_shares(before, psutil.cpu_times()._asdict(), 0.0))
