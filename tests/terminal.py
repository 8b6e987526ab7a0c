"""What a page says to type, typed: with a run folder and ports of its own."""

import os
import shlex
import subprocess
from pathlib import Path

from loadtests.bootstrap import ROOT
from loadtests.stack.place import LAB_USER, RUN_DIR
from shared.settings import environment
from tests.conftest import free_settings


def surroundings(run_dir: Path, command: str) -> dict[str, str]:
    """Return the environment of a shell; a learner with a name has ports already."""
    # Within `make test` it would take that make's flags, and tell where it is.
    shell = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "TWINS_"))}
    own = {} if LAB_USER in command else environment(free_settings())
    return {**shell, **own, RUN_DIR: str(run_dir)}


def run(command: str, run_dir: Path, lines: str = "") -> "subprocess.CompletedProcess[str]":
    """With `lines` for what it asks."""
    return subprocess.run(
        shlex.split(command),
        env=surroundings(run_dir, command),
        cwd=ROOT,
        input=lines,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def started_by(command: str, run_dir: Path) -> str:
    """Return what a `make` command starts at last, without starting it."""
    (*_, last) = run(f"{command} --dry-run", run_dir).stdout.splitlines()
    return " ".join(last.removeprefix(".venv/bin/python -m ").split())
