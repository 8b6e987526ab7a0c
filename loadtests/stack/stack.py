"""The stack: private MySQL and Redis, the twins and the floor, started, watched and stopped as one."""

import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from loadtests.stack import aof, observers, process, state
from loadtests.stack.private import MYSQL_MODES, opener, private_folder
from loadtests.stack.roles import ROLES_OF, WITH_WORKERS, Role, define_roles
from loadtests.stack.servers import LOOPBACK, MySQL, StackError, redis_call
from loadtests.stack.surroundings import surroundings
from shared.settings import Settings, environment

START_LIMIT = 180.0
"""Seconds that a role has to become ready, on a busy machine too: one that ends is noticed at once."""
INSTALL_LIMIT = 300.0
"""Seconds for MySQL's first start, which writes a data folder."""
PORT_LIMIT = 2.0
"""Seconds to wait for a port that an earlier process may just be giving back."""
EMPTIED = {
    "issues": "TRUNCATE TABLE",
    "flush_ledger": "TRUNCATE TABLE",
    # Of a few rows, if any: to make a table anew takes a hundred times as long.
    "service_use": "DELETE FROM",
    "new_issues": "DELETE FROM",
}
NOTHING: Mapping[str, Any] = {}
LOADED = "loaded"
"""The file in the run folder that tells whose events are there: a benchmark's, and nobody will miss them."""


class Stack:
    """Processes with their data, logs and sockets under `run_dir`, which one Stack at a time can have.

    With `pin`, on Linux with two cores or more, every process started here stays off the last core, but for
    the observers, which stay on it.
    Use it as a context manager, from the main thread: the end of the block, however it is reached, stops all.

    Its methods raise StackError, with a message for the person at the terminal, where something can't start.
    """

    def __init__(self, run_dir: Path, settings: Settings, pin: bool = False) -> None:
        self.run_dir = run_dir.resolve()
        # The servers are the stack's own: `reset` must never empty one that runs elsewhere.
        self.settings = settings.model_copy(
            update={
                **{"mysql_host": LOOPBACK, "redis_host": LOOPBACK},
                "spool_folder": self.run_dir / "spool",
                "show_metrics": True,  # what is measured reads them
            }
        )
        self._measures = pin
        cores = sorted(os.sched_getaffinity(0)) if pin and sys.platform == "linux" else []
        self._server_cpus = set(cores[:-1]) or None
        self._generator_cpus = {cores[-1]} if self._server_cpus else None
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._starting: set[str] = set()
        self._state = state.State(owner=os.getpid())

    def __enter__(self) -> Self:
        with ExitStack() as cleanup:
            cleanup.enter_context(process.interrupted_by_signals())
            self.run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)  # one that was there is the caller's
            for folder in ("logs", "redis"):
                private_folder(self.run_dir / folder)
            cleanup.enter_context(state.lock(self.run_dir))
            process.raise_open_file_limit()
            self.mysql = MySQL(self.run_dir / "mysql", self.settings)
            cleanup.callback(self.mysql.close)
            self._observers = observers.define_observers(self.run_dir, self.settings)
            self._roles = define_roles(self.run_dir, self.settings, self.mysql) | self._observers
            for role in self._roles:
                self.log_path(role).unlink(missing_ok=True)
            cleanup.callback(self.stop_all)
            self._write_state()
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def start(self, *roles: str, more: Mapping[str, Mapping[str, str]] = NOTHING) -> None:
        """Start `roles` side by side and wait until all are ready; those that run already are left alone.

        `more` has environment variables, by role, that come before the stack's own.
        """
        missing = [role for role in roles if not self.alive(role)]
        for role in missing:
            self._await_port(self._roles[role])
            if role == "mysql":
                self.mysql.prepare(self._install)
            elif role == "redis":
                self._repair_redis()
            self._spawn(role, self._roles[role].command, more.get(role, {}))
        for role in missing:
            self._await(role, self._roles[role].is_ready, START_LIMIT)

    def stop(self, role: str) -> None:
        """End `role` in order, by force after a while. Does nothing if it does not run."""
        with process.signals_held():
            child = self._processes.pop(role, None)
            if child is None:
                return
            # MariaDB may lose a SIGTERM that comes while it starts; it has answered nobody yet.
            end = process.kill if role in self._starting else process.stop
            end(child)
            self._write_state()

    def kill(self, role: str) -> None:
        """SIGKILL to every process of `role`, as a crash would have it."""
        process.kill(self._processes[role])

    def alive(self, role: str) -> bool:
        """False if `role` was not started, was stopped, or died."""
        child = self._processes.get(role)
        return child is not None and child.poll() is None

    def pid(self, role: str) -> int:
        """Process id of `role`'s first process. Raises KeyError if it was not started."""
        return self._processes[role].pid

    def start_twin(self, twin: str) -> None:
        """Start every role of `twin`. MySQL and Redis are started on their own."""
        self.start(*ROLES_OF[twin])

    def start_observers(self) -> None:
        """Start what watches a run, Prometheus where it is installed. Needs MySQL and Redis."""
        if self._observers:
            observers.write_config(self.run_dir, self.settings, self._observers)
            self.start(*self._observers)
            for role in self._observers if self._measures else ():
                process.come_last(self._processes[role])

    def start_live_page(self) -> None:
        """Start it alone of what watches a run; whoever else wants the CPU comes before it."""
        observers.forget_run(self.run_dir)
        self.start(observers.LIVE)
        process.come_last(self._processes[observers.LIVE])

    def observers(self) -> tuple[str, ...]:
        """Return those that run; on the generator's core, not on the servers'."""
        return tuple(role for role in self._observers if self.alive(role))

    def stop_twin(self, twin: str) -> None:
        for role in reversed(ROLES_OF[twin]):
            self.stop(role)

    def stop_all(self) -> None:
        """Stop what runs, the last that was started first."""
        with process.signals_held():
            for role in reversed(list(self._processes)):
                self.stop(role)

    def reset(self) -> None:
        """Forget every event, for a load on empty tables and an empty Redis. Needs both servers."""
        (self.run_dir / LOADED).touch()
        with self.mysql.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SHOW TABLES")
            for table in {name for (name,) in cursor.fetchall()}.intersection(EMPTIED):
                cursor.execute(f"{EMPTIED[table]} {table}")
            connection.commit()
        answer = redis_call(self.settings.redis_port, "FLUSHALL")
        if answer != "+OK":
            raise StackError(f"Redis could not be emptied: {answer}")
        shutil.rmtree(self.settings.spool_folder, ignore_errors=True)

    def forget_load(self) -> bool:
        """Empty both servers where a benchmark's load is in them, as `reset` noted; return whether it was."""
        loaded = self.run_dir / LOADED
        if not loaded.exists():
            return False
        self.reset()
        loaded.unlink()
        return True

    def address(self, role: str) -> str:
        """Return its "host:port"."""
        return self._roles[role].address

    def base_url(self, twin: str) -> str:
        return f"http://{self.address(twin)}"

    def log_path(self, role: str) -> Path:
        return self.run_dir / "logs" / f"{role}.log"

    def server_cpus(self) -> set[int] | None:
        """The cores of all that is measured; None where nothing is pinned."""
        return self._server_cpus

    def generator_cpus(self) -> set[int] | None:
        """The cores for the load generator; None where nothing is pinned."""
        return self._generator_cpus

    def environment(self) -> dict[str, str]:
        """Return the variables of every process that is measured, or measures."""
        return surroundings(self.run_dir, environment(self.settings))

    def mark_ready(self) -> None:
        """Tell `make up`, which waits in another process, that all it wants is running."""
        self._state.ready = True
        self._write_state()

    def _repair_redis(self) -> None:
        if cut := aof.repair(self.run_dir / "redis"):
            with open(self.log_path("redis"), "a", opener=opener) as log:
                log.write(f"{cut} bytes of a transaction that a kill had torn were cut off\n")

    def _install(self, command: list[str]) -> None:
        self._spawn("mysql_install", command)
        installer = self._processes["mysql_install"]
        self._await("mysql_install", lambda: installer.poll() == 0, INSTALL_LIMIT)
        self.stop("mysql_install")

    def _spawn(self, role: str, command: list[str], more: Mapping[str, str] = NOTHING) -> None:
        log = self.log_path(role)
        cpus = self._generator_cpus if role in self._observers else self._server_cpus
        # The processes of a uvicorn with several outlive it, unless it ends them itself.
        orphaned = signal.SIGTERM if self._has_workers(role) else signal.SIGKILL
        with process.signals_held():
            self._starting.add(role)
            env = {**self._environment_of(role), **more}
            self._processes[role] = process.spawn(command, log, env, cpus, orphaned)
            self._write_state()

    def _environment_of(self, role: str) -> dict[str, str]:
        env = self.environment() | MYSQL_MODES
        if self._has_workers(role):
            env["PROMETHEUS_MULTIPROC_DIR"] = str(self._metrics_folder(role))
        return env

    def _has_workers(self, role: str) -> bool:
        return self.settings.workers > 1 and role in WITH_WORKERS

    def _metrics_folder(self, role: str) -> Path:
        """Empty: what an earlier server left there would be counted again."""
        folder = self.run_dir / "metrics" / role
        shutil.rmtree(folder, ignore_errors=True)
        private_folder(folder.parent)
        return private_folder(folder)

    def _await(self, role: str, is_ready: Callable[[], bool], limit: float) -> None:
        deadline = time.monotonic() + limit
        while True:
            status = self._processes[role].poll()
            if is_ready():
                self._starting.remove(role)
                return
            if status is not None:
                raise StackError(f"{role} ended with status {status}; {self._end_of_log(role)}")
            if time.monotonic() > deadline:
                raise StackError(f"{role} is not ready after {limit:.0f} s; {self._end_of_log(role)}")
            time.sleep(0.05)

    def _end_of_log(self, role: str) -> str:
        path = self.log_path(role)
        lines = path.read_text(errors="replace").splitlines()[-20:]
        return "\n".join([f"the end of {path}:", *lines])

    def _await_port(self, spec: Role) -> None:
        deadline = time.monotonic() + PORT_LIMIT
        while not _port_is_free(spec.host, spec.port):
            if time.monotonic() > deadline:
                raise StackError(f"port {spec.port} is taken; set {spec.port_variable} to another")
            time.sleep(0.05)

    def _write_state(self) -> None:
        self._state.pids = {role: child.pid for role, child in self._processes.items()}
        self._state.addresses = {
            role: self._roles[role].address for role in self._processes if role in self._roles
        }
        self._state.write(self.run_dir)


def _port_is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        # As servers do it: connections that just ended don't keep a port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise StackError(f"can't listen on {host}:{port}: {error.strerror}") from None
            return False
    return True
