"""The whole stack, for someone who wants to click and curl: `python -m loadtests.stack up`."""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, NoReturn

import psutil

from loadtests.bootstrap import ROOT
from loadtests.stack import ROLES_OF, Stack, StackError
from loadtests.stack.observers import LIVE, PROMETHEUS
from loadtests.stack.place import RUN_DIR, run_folder
from loadtests.stack.private import opener, private_folder
from loadtests.stack.process import interrupted_by_signals
from loadtests.stack.state import State, holder
from shared.event import PATH
from shared.fingerprint import fingerprint
from shared.settings import load

ROLES = (("mysql", "redis"), ROLES_OF["naive_sync"], ROLES_OF["async_dedup"])
"""What starts side by side, one group after the other."""
EXAMPLE = "disk full"
DOWN_LIMIT = 120.0
"""Seconds: every role may take its time to stop, one after the other."""


def say(line: str) -> None:
    print(line, flush=True)


def run(run_dir: Path) -> int:
    """Start everything and stay in the foreground until a signal ends it."""
    with Stack(run_dir, load()) as stack:
        for roles in ROLES:
            begun = time.monotonic()
            say(f"starting {', '.join(roles)}")
            stack.start(*roles)
            say(f"  ready after {time.monotonic() - begun:.1f} s")
            if "redis" in roles and stack.forget_load():
                say("  emptied: the last benchmark had left its events there")
        stack.start_observers()
        say(introduction(stack))
        stack.mark_ready()
        watch(stack)


def watch(stack: Stack) -> NoReturn:
    """Tell of every role that dies, until a signal comes. To restart one would hide the fault."""
    running = {role for roles in ROLES for role in roles} | {*stack.observers()}
    while True:
        for role in {role for role in running if not stack.alive(role)}:
            say(f"{role} died; its log is {stack.log_path(role)}")
            running.remove(role)
        time.sleep(0.5)


def introduction(stack: Stack) -> str:
    naive, async_ = stack.base_url("naive_sync"), stack.base_url("async_dedup")
    return f"""
naive_sync   {naive}
async_dedup  {async_}  (docs: {async_}/docs)
{observed(stack)}

{example(async_)}
"""


def example(base_url: str) -> str:
    """Return two lines for a shell: an event, and its issue as soon as it is there, within a second."""
    event = json.dumps({"message": EXAMPLE})
    return f"""\
curl -s -H 'Content-Type: application/json' -d '{event}' {base_url}{PATH}
curl -sf --retry 9 --retry-delay 1 --retry-all-errors {base_url}/api/v1/errors/{fingerprint(EXAMPLE)}"""


def observed(stack: Stack) -> str:
    live = f"live page    {stack.base_url(LIVE)}"
    if not stack.alive(PROMETHEUS):
        return f"{live}\nNo Prometheus is installed; `make setup-observability` installs it"
    return f"{live}\nprometheus   {stack.base_url(PROMETHEUS)}"


def up(run_dir: Path) -> int:
    """Start `run` in the background and show what it says until all is ready."""
    running = holder(run_dir)
    if running is not None:
        return already_up(run_dir, running)
    run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    private_folder(run_dir / "logs")
    log = run_dir / "logs" / "stack.log"
    with open(log, "wb", opener=opener) as output, log.open() as said:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "loadtests.stack", "run"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), RUN_DIR: str(run_dir)},
            start_new_session=True,
        )
        try:
            return follow(supervisor, said, run_dir)
        except BaseException:
            supervisor.terminate()
            supervisor.wait()
            raise


def follow(supervisor: subprocess.Popen[bytes], said: IO[str], run_dir: Path) -> int:
    ready = False
    while not ready and supervisor.poll() is None:
        ready = State.read(run_dir, supervisor.pid).ready
        print(said.read(), end="", flush=True)
        time.sleep(0.05)
    print(said.read(), end="", flush=True)
    return 0 if ready else 1


def already_up(run_dir: Path, running: int) -> int:
    if not State.read(run_dir, running).ready:
        raise StackError(f"the stack is already running (pid {running}): `make down` first")
    say("already up:")
    return status(run_dir)


def status(run_dir: Path) -> int:
    """A line per role. 0: all run; 1: one died; 3: the stack is not running."""
    supervisor = holder(run_dir)
    if supervisor is None:
        say("the stack is not running")
        return 3
    state = State.read(run_dir, supervisor)
    dead, width = 0, max(map(len, state.pids), default=0)
    for role, pid in state.pids.items():
        runs = is_child(pid, supervisor)
        dead += not runs
        where = state.addresses.get(role, "") if runs else f"see {run_dir / 'logs' / role}.log"
        say(f"{role:{width}} {'up' if runs else 'died':5} pid {pid:<8} {where}")
    return 1 if dead else 0


def is_child(pid: int, parent: int) -> bool:
    try:
        process = psutil.Process(pid)
        return process.ppid() == parent and lives(process)
    except psutil.NoSuchProcess:
        return False


def lives(process: psutil.Process) -> bool:
    """False for a zombie as well: in a container there may be nobody to reap it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def down(run_dir: Path) -> int:
    """Stop the stack that runs there, in order, and wait for its end."""
    supervisor = holder(run_dir)
    if supervisor is None:
        say("the stack is not running")
        return 0
    say("stopping the stack")
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(supervisor)
        process.terminate()
        deadline = time.monotonic() + DOWN_LIMIT
        while lives(process):
            if time.monotonic() > deadline:
                raise StackError(f"pid {supervisor} does not stop; see {run_dir / 'logs' / 'stack.log'}")
            time.sleep(0.05)
    say("stopped")
    return 0


COMMANDS: dict[str, Callable[[Path], int]] = {"up": up, "down": down, "status": status, "run": run}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtests.stack", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    command = COMMANDS[parser.parse_args().command]
    load()  # here, where somebody sees what it has to say
    try:
        with interrupted_by_signals():
            return command(run_folder())
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:  # as of `make status | head -4`, which has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
