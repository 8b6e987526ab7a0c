"""The stack starts what it says, says what is wrong, and leaves nothing behind however it ends."""

import functools
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pymysql
import pytest
import redis

from loadtests.bootstrap import ROOT
from loadtests.stack import Stack, StackError, process
from loadtests.stack import stack as stack_module
from loadtests.stack.__main__ import lives
from loadtests.stack.observers import define_observers
from loadtests.stack.place import RUN_DIR
from loadtests.stack.servers import SOCKET_PATH_LIMIT
from loadtests.stack.state import State, holder
from shared.fingerprint import fingerprint
from shared.settings import environment
from tests import client, parts
from tests.conftest import free_settings, is_free
from tests.observed import seen

AS_NORMAL_USER = """
import os, sys
from pathlib import Path
from loadtests.stack import Stack
from shared.settings import Settings

"warm".encode("idna")  # a codec that Python loads late, from a folder that may be root's
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
with Stack(Path(sys.argv[1]), Settings()) as stack:
    stack.start("mysql", "redis")
    print("ready")
"""


class CommandLine:
    """`python -m loadtests.stack` on a run folder and on ports of its own."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.settings = free_settings()
        self.command = [sys.executable, "-m", "loadtests.stack"]
        self.env = {**os.environ, **environment(self.settings), RUN_DIR: str(run_dir)}

    def __call__(self, word: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, word],
            env=self.env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def run(self) -> subprocess.Popen[bytes]:
        """The stack in the foreground, of a process group of its own as a shell would have it."""
        return subprocess.Popen(
            [*self.command, "run"], env=self.env, cwd=ROOT, stdout=subprocess.DEVNULL, process_group=0
        )

    def processes(self) -> list[psutil.Process]:
        """Everything that was started on the run folder, told by its environment."""
        return [p for p in psutil.process_iter() if run_dir_of(p) == str(self.run_dir)]

    def has_started(self, role: str) -> bool:
        return (self.run_dir / "logs" / f"{role}.log").exists()


@pytest.fixture
def cli(installed_dir: Path) -> Iterator[CommandLine]:
    command_line = CommandLine(installed_dir)
    yield command_line
    if holder(installed_dir) is not None:
        command_line("down")


def run_dir_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(RUN_DIR)
    except psutil.Error:
        return None


wait_until = functools.partial(parts.wait_until, limit=30)


@pytest.mark.parametrize(
    ("role", "variable"),
    [
        ("mysql", "MYSQL_PORT"),
        ("redis", "REDIS_PORT"),
        ("naive_sync", "NAIVE_PORT"),
        ("async_dedup", "ASYNC_PORT"),
        ("worker", "WORKER_METRICS_PORT"),
        ("scheduler", "SCHEDULER_METRICS_PORT"),
        ("live", "LIVE_PORT"),
    ],
)
def test_a_taken_port_is_named_with_the_variable_that_moves_it(
    role: str, variable: str, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack_module, "PORT_LIMIT", 0.0)
    settings = free_settings()
    port = settings.model_dump()[variable.lower()]
    with (
        socket.create_server(("127.0.0.1", port)),
        Stack(run_dir, settings) as stack,
        pytest.raises(StackError, match=f"^port {port} is taken; set TWINS_{variable} to another$"),
    ):
        stack.start(role)


def test_a_port_that_comes_free_in_time_is_no_error(stack: Stack) -> None:
    stack.kill("redis")
    stack.start("redis")
    assert stack.alive("redis")


def test_a_run_folder_has_one_stack_at_a_time(run_dir: Path) -> None:
    with (
        Stack(run_dir, free_settings()),
        pytest.raises(StackError, match=rf"already running \(pid {os.getpid()}\): `make down` first"),
        Stack(run_dir, free_settings()),
    ):
        pass
    assert holder(run_dir) is None


def test_a_role_that_fails_to_start_shows_the_end_of_its_log(run_dir: Path) -> None:
    (run_dir / "redis" / "appendonlydir").mkdir(parents=True)
    (run_dir / "redis" / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")
    with (
        Stack(run_dir, free_settings()) as stack,
        pytest.raises(StackError, match=r"(?s)^redis ended with status 1; .*redis\.log:\n.*manifest"),
    ):
        stack.start("redis")


def test_a_long_run_folder_gets_its_unix_socket_elsewhere(run_dir: Path) -> None:
    with Stack(run_dir / ("long" * 30), free_settings()) as stack:
        elsewhere = stack.mysql.socket.parent
        assert len(os.fsencode(stack.mysql.socket)) <= SOCKET_PATH_LIMIT
        assert elsewhere.is_dir()
    assert not elsewhere.exists()


def test_mysql_keeps_root_to_its_unix_socket(stack: Stack) -> None:
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        pymysql.connect(host="127.0.0.1", port=stack.settings.mysql_port, user="root")
    with pymysql.connect(unix_socket=str(stack.mysql.socket), user="root") as connection:
        assert connection.open


def test_mysql_is_durable_and_speaks_utf8(stack: Stack) -> None:
    with stack.mysql.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@innodb_flush_log_at_trx_commit, @@character_set_server, @@bind_address")
        assert cursor.fetchone() == (1, "utf8mb4", "127.0.0.1")
        cursor.execute("SELECT @@innodb_buffer_pool_size")
        assert cursor.fetchone() == (2**30,)


def test_mysql_shares_no_folder_with_other_servers(stack: Stack) -> None:
    """One that starts removes the temporary tables that it finds, an install's among them."""
    with stack.mysql.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@tmpdir")
        assert cursor.fetchone() == (str(stack.mysql.temporary),)
    assert f"--tmpdir={stack.mysql.temporary}" in stack.mysql._install_command(stack.mysql.home)


def test_redis_is_on_disk_before_it_answers_and_drops_nothing(stack: Stack) -> None:
    with redis.Redis(port=stack.settings.redis_port, decode_responses=True) as client:
        kept = client.config_get("append*", "maxmemory-policy")
        assert kept["appendonly"] == "yes"
        assert kept["appendfsync"] == "always"
        assert kept["maxmemory-policy"] == "noeviction"


def test_reset_forgets_every_event(stack: Stack, naive_url: str) -> None:
    row = "INSERT INTO issues (fingerprint, service, message, times_seen, first_seen, last_seen)"
    with (
        stack.mysql.connect() as connection,
        connection.cursor() as cursor,
        redis.Redis(port=stack.settings.redis_port) as client,
    ):
        cursor.execute(f"{row} VALUES (REPEAT('a', 64), 'default', 'm', 1, NOW(6), NOW(6))")
        client.set("left over", 1)
        stack.reset()
        assert cursor.execute("SELECT * FROM issues") == 0
        assert client.exists("left over") == 0


def test_kill_ends_every_process_of_a_role(stack: Stack, naive_url: str) -> None:
    family = psutil.Process(stack.pid("naive_sync")).children(recursive=True)
    stack.kill("naive_sync")
    assert not stack.alive("naive_sync")
    psutil.wait_procs(family, timeout=10)
    assert family
    assert not [p for p in family if p.is_running()]
    stack.start_twin("naive_sync")
    assert stack.alive("naive_sync")


def test_pinned_servers_leave_the_last_core_to_the_generator(run_dir: Path) -> None:
    with Stack(run_dir, free_settings(), pin=True) as stack:
        stack.start("redis")
        cores = os.sched_getaffinity(0)
        generator = stack.generator_cpus() or set()
        assert len(generator) == (1 if len(cores) > 1 else 0)
        assert os.sched_getaffinity(stack.pid("redis")) == cores - generator


def test_a_normal_user_can_run_the_servers(run_dir: Path) -> None:
    # The user may not be allowed to read the folder that this repo is in.
    for package in ("loadtests", "shared"):
        shutil.copytree(ROOT / package, run_dir / package)
    data = run_dir / "data"
    data.mkdir()
    run_dir.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(data, 65534, 65534)
    done = subprocess.run(
        [sys.executable, "-c", AS_NORMAL_USER, str(data)],
        env={**os.environ, **environment(free_settings())},
        cwd=run_dir,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("ready\n", "")
    assert (data / "redis" / "appendonlydir").stat().st_uid != 0


def test_ctrl_c_at_any_moment_leaves_no_process(cli: CommandLine) -> None:
    shutil.rmtree(cli.run_dir / "mysql")
    for moment in ("mysql_install", "mysql", "naive_sync", "scheduler"):
        for log in (cli.run_dir / "logs").glob("*.log"):
            log.unlink()
        running = cli.run()
        wait_until(functools.partial(cli.has_started, moment))
        os.killpg(running.pid, signal.SIGINT)
        assert running.wait(30) == 130, moment
        assert cli.processes() == [], moment


def test_up_status_and_down(cli: CommandLine) -> None:
    assert cli("status").returncode == 3
    first = cli("up")
    assert first.returncode == 0, first.stderr
    issue = pasted(first.stdout)
    assert (issue["message"], issue["times_seen"] + issue["pending"]) == ("disk full", 1)
    live = f"http://127.0.0.1:{cli.settings.live_port}"
    assert f"live page    {live}\n" in first.stdout
    assert seen(live)[0]["running"] == ["naive_sync", "async_dedup"]
    again = cli("up")
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, "already up:")
    assert cli("status").stdout.count(" up ") == 6 + len(define_observers(cli.run_dir, cli.settings))

    worker = next(p for p in cli.processes() if "async_dedup.worker" in p.cmdline())
    worker.kill()
    wait_until(lambda: not worker.is_running())
    hurt = cli("status")
    assert hurt.returncode == 1
    assert f"see {cli.run_dir}/logs/worker.log" in hurt.stdout

    assert cli("down").returncode == 0
    assert cli.processes() == []
    assert is_free(cli.settings.mysql_port)
    assert cli("down").stdout == "the stack is not running\n"


def pasted(said: str) -> dict[str, Any]:
    """Return what the lines to try show, run at once and one after the other, as in a terminal."""
    lines = [line for line in said.splitlines() if line.startswith("curl ")]
    assert len(lines) == 2
    shown = subprocess.run(["sh", "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    queued, issue = json.JSONDecoder().raw_decode, shown.stdout
    first, end = queued(issue)
    assert first["data"]["status"] == "queued"
    return dict(json.loads(issue[end:])["data"])


def test_the_lines_of_the_docs_work_when_they_are_pasted(stack: Stack, async_url: str) -> None:
    commands = (ROOT / "docs" / "commands.md").read_text()
    issue = pasted(commands.replace("localhost:9002", async_url))
    assert (issue["message"], issue["stackTrace"]) == ("boom", "at main (app.js:1)")


def test_up_empties_what_a_benchmark_has_left_and_nothing_else(cli: CommandLine) -> None:
    with Stack(cli.run_dir, cli.settings) as stack:
        stack.start("mysql", "redis")
        stack.start_twin("naive_sync")
        stack.reset()  # as every trial begins
        assert client.log(stack.base_url("naive_sync"), "load").status == 200
    naive = f"http://127.0.0.1:{cli.settings.naive_port}"
    emptied = "emptied: the last benchmark had left its events there"
    assert emptied in cli("up").stdout
    assert client.get(naive, f"/api/v1/errors/{fingerprint('load')}").status == 404
    assert client.log(naive, "mine").status == 200
    assert cli("down").returncode == 0
    assert emptied not in cli("up").stdout
    assert client.get(naive, f"/api/v1/errors/{fingerprint('mine')}").status == 200


def test_status_is_straight_and_quiet_where_nobody_reads_on(run_dir: Path, cli: CommandLine) -> None:
    with Stack(run_dir, cli.settings) as stack:
        stack.start("redis", "floor")
        stack.start_observers()  # a program there or not: the longest name is set below
        stack._state.pids["a_role_with_a_long_name"] = os.getpid()
        stack._state.write(run_dir)
        lines = cli("status").stdout.splitlines()
        assert len({line.index(" pid ") for line in lines}) == 1, lines
        for read in ("true", "head -1", "head -c 5"):
            words = " ".join(map(shlex.quote, [*cli.command, "status"]))
            ended = subprocess.run(
                ["bash", "-c", f"set -o pipefail; {words} | {read} > /dev/null"],
                env={**cli.env, "PYTHONUNBUFFERED": "1"},
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
            assert ended.stderr == ""


def test_nothing_outlives_a_supervisor_that_is_killed(cli: CommandLine) -> None:
    cli.env["TWINS_WORKERS"] = "2"
    running = cli.run()
    wait_until(lambda: State.read(cli.run_dir, running.pid).ready)
    running.kill()
    running.wait()
    wait_until(lambda: cli.processes() == [])
    assert holder(cli.run_dir) is None


def test_what_a_process_that_died_left_behind_is_ended_with_it(tmp_path: Path) -> None:
    dead = process.spawn(["sh", "-c", "sleep 60 & wait"], tmp_path / "log", dict(os.environ), None)
    wait_until(lambda: process.descendants(dead) != [])
    (left,) = process.descendants(dead)
    os.kill(dead.pid, signal.SIGKILL)
    dead.wait()
    assert lives(left)
    process.stop(dead)
    wait_until(lambda: not lives(left))
