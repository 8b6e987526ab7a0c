"""Who holds a run folder, and what runs there: a lock that dies with its owner, and a file to read."""

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from loadtests.stack.private import opener, write_private
from loadtests.stack.servers import StackError

RUNS_ALREADY = "the stack is already running (pid {pid}): `make down` first"


@dataclass
class State:
    owner: int
    """Process id of the stack that this is about."""
    ready: bool = False
    """True once `make up` has everything running."""
    pids: dict[str, int] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)

    def write(self, run_dir: Path) -> None:
        draft = run_dir / "state.json.new"
        write_private(draft, json.dumps(asdict(self)))
        draft.replace(run_dir / "state.json")

    @classmethod
    def read(cls, run_dir: Path, owner: int) -> "State":
        """What `owner` wrote there; the empty state where it has not, whatever an earlier stack left."""
        try:
            state = cls(**json.loads((run_dir / "state.json").read_text()))
        except FileNotFoundError:
            return cls(owner)
        return state if state.owner == owner else cls(owner)


def lock(run_dir: Path, taken: str = RUNS_ALREADY) -> IO[str]:
    """Take `run_dir` until the file returned is closed. Raises StackError, with `taken`, if another has."""
    file = open(run_dir / "lock", "a+", opener=opener)  # noqa: SIM115 - the caller closes it
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise StackError(taken.format(pid=_pid(run_dir))) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def holder(run_dir: Path) -> int | None:
    """Process id of the running stack; None where there is none. A pid file alone could name a stranger."""
    try:
        file = (run_dir / "lock").open()
    except FileNotFoundError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _pid(run_dir)
    return None


def _pid(run_dir: Path) -> int:
    while not (text := (run_dir / "lock").read_text()):  # just taken, about to be written
        time.sleep(0.01)
    return int(text)
