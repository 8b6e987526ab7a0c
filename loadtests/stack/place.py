"""Where a stack has its data and its ports. Learners who share a machine have each a place of their own."""

import fcntl
import json
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from loadtests.bootstrap import ROOT
from loadtests.load.files import write_json
from loadtests.stack.private import opener, private_folder
from loadtests.stack.servers import StackError, is_heard
from loadtests.stack.state import lock
from shared.settings import Settings, variable

RUN_DIR = "TWINS_RUN_DIR"
"""The environment variable of the folder for data and logs, where it is not .run."""
LAB_USER = "LAB_USER"
"""The environment variable that names a learner; without it there is one for the whole run folder."""
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,19}")
LEARNERS = "learners"
PORTS = tuple(name for name in Settings.model_fields if name.endswith("_port"))
BLOCK = 20
FIRST_PORTS = range(30_000, 32_700, BLOCK)
"""Of a learner's ports each. From 32,768 on the kernel takes those of outgoing connections."""


class Place(NamedTuple):
    run_dir: Path
    ports: dict[str, int]
    """By setting; without those that the environment has, which come first."""


def run_folder() -> Path:
    return Path(os.environ.get(RUN_DIR) or ROOT / ".run").resolve()


def learner() -> str | None:
    """Return the name in small letters, None where there is none. Raises StackError."""
    given = os.environ.get(LAB_USER, "")
    name = given.lower()
    if given and not NAME.fullmatch(name):
        raise StackError(
            f"{LAB_USER}={given if given.isprintable() else repr(given)}: up to 20 of a-z, 0-9, - and _ are "
            "needed, a letter or digit first"
        )
    return name or None


def typed(command: str) -> str:
    """Return `command` as this learner types it."""
    name = learner()
    return f"{command} {LAB_USER}={name}" if name else command


def folder_of_learner(run_dir: Path) -> Path:
    """Return their run folder within `run_dir`. Raises StackError."""
    name = learner()
    return run_dir / LEARNERS / name if name else run_dir


@contextmanager
def place_of_learner(run_dir: Path) -> Iterator[Place]:
    """Give the learner their place, which no other process has meanwhile.

    Raises StackError where one has, and where no ports are left.
    """
    name, own = learner(), folder_of_learner(run_dir)
    own.mkdir(mode=0o700, parents=True, exist_ok=True)
    with lock(private_folder(own / "workshop"), _taken(name)):
        yield Place(own, _ports(run_dir, name) if name else {})


def _taken(name: str | None) -> str:
    if name:
        return f"{name} is at work already (pid {{pid}}), in another terminal? One lab or demo at a time"
    return (
        "another lab or demo is at work here already (pid {pid}), in another terminal? One at a time; "
        f"{LAB_USER}=name gives each learner a place of their own"
    )


def _ports(run_dir: Path, name: str) -> dict[str, int]:
    """Raises StackError where none are left."""
    first = _first_port(run_dir / LEARNERS, name)
    return {each: first + number for number, each in enumerate(PORTS) if not os.environ.get(variable(each))}


def _first_port(folder: Path, name: str) -> int:
    """Return the same for a name each time; who comes first to a block has it.

    Where to look first goes by the name: learners with a checkout each seldom meet, too.
    """
    path = folder / "ports.json"
    with open(folder / "ports.lock", "a", opener=opener) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        first_ports: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
        if (first := first_ports.get(name)) is not None:
            return first
        start = zlib.crc32(name.encode()) % len(FIRST_PORTS)
        for each in chain(FIRST_PORTS[start:], FIRST_PORTS[:start]):
            if each not in first_ports.values() and _is_free(each):
                write_json(path, first_ports | {name: each})
                return each
    raise StackError(f"no {BLOCK} ports are left from {FIRST_PORTS.start} on; {path} says whose they are")


def _is_free(first: int) -> bool:
    return not any(map(is_heard, range(first, first + BLOCK)))
