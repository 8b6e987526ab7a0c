"""One private stack for the whole test run, on free ports, in a folder that goes with it."""

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from pymysql.connections import Connection
from rq import Queue
from sqlalchemy import Engine
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from async_dedup.digest import digest_queue
from loadtests.bootstrap import ROOT
from loadtests.stack import Stack
from loadtests.stack.servers import MySQL
from shared.db import make_background_engine
from shared.settings import Settings
from tests.observed import Observed, observe

# A lab, or a demonstration, is shown in its short version, whoever sits at this machine.
os.environ["LAB_SHORT"] = "1"
os.environ.pop("LAB_USER", None)

# Of each drawn example it counts what is true, not how long it took; and no file stays behind.
settings.register_profile("twins", deadline=None, database=None)
settings.load_profile("twins")

# A shell that starts the tests in the background has them ignore Ctrl-C, and so all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# For each connection PyMySQL reads all certificates of the system, though no server here has one: 30 ms.
connection: Any = Connection
CONTEXT = connection._create_ssl_ctx(Connection.__new__(Connection), {})
connection._create_ssl_ctx = lambda *_: CONTEXT

WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
Install = Callable[[Path], Path]
URL_FIXTURES = {"naive_sync": "naive_url", "async_dedup": "async_url"}


LONG = (
    *(
        "labs/test_experiments",
        "studies/test_faults",
        "test_bench",
        "studies/test_throttle",
        "labs/test_tasks",
    ),
    *("stack/test_stack", "stack/test_surroundings", "test_demo", "report/test_page", "trial/test_trial"),
    *("test_locustfile", "shared/test_metrics", "faults/test_clocks", "studies/test_endurance"),
)
"""Files that take more than half a minute: they begin first, so that nobody waits for one of them alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {ROOT / "tests" / f"{name}.py": place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path, len(LONG)))


class ByFile(LoadFileScheduling):  # type: ignore[misc]
    """As `--dist loadfile`; and those files stay together whose tests look at the same run."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "tests/grafana" if file.startswith("tests/grafana/") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    return ByFile(config, log)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def shuffled_ports() -> Iterator[int]:
    """Yield each port of this process once: those of a stack that has not started yet look free."""
    # Below the range from which the kernel takes the ports of outgoing connections.
    every = range(20_000, 30_000)
    mine = every[WORKER::WORKERS]
    yield from random.sample(mine, len(mine))


PORTS = shuffled_ports()


def free_settings() -> Settings:
    """Settings with every port free at this moment, and a flush often enough to wait for."""
    names = [name for name in Settings.model_fields if name.endswith("_port")]
    ports = islice(filter(is_free, PORTS), len(names))
    return Settings(flush_interval=0.5).model_copy(update=dict(zip(names, ports, strict=True)))


@pytest.fixture(scope="session")
def install() -> Iterator[Install]:
    """Put MySQL's files into a run folder, and return that: the installer takes seconds of a core."""
    with tempfile.TemporaryDirectory(prefix="twins-") as folder:
        made = MySQL(Path(folder), Settings())

        def run(command: list[str]) -> None:
            subprocess.run(command, capture_output=True, check=True)

        made.prepare(run)

        def into(run_dir: Path) -> Path:
            shutil.copytree(made.data, run_dir / "mysql" / made.data.name)
            return run_dir

        yield into


@pytest.fixture(scope="session")
def stack(install: Install) -> Iterator[Stack]:
    """A stack with MySQL and Redis running, and nothing else."""
    with (
        tempfile.TemporaryDirectory(prefix="twins-") as folder,
        Stack(install(Path(folder)), free_settings()) as private,
    ):
        private.start("mysql")
        private.start("redis")
        yield private


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """An empty folder for a stack of the test's own."""
    with tempfile.TemporaryDirectory(prefix="twins-") as folder:
        yield Path(folder).resolve()


@pytest.fixture
def installed_dir(run_dir: Path, install: Install) -> Path:
    """As `run_dir`, where the stack's MySQL has to start."""
    return install(run_dir)


@pytest.fixture(scope="module")
def naive_url(stack: Stack) -> str:
    stack.start_twin("naive_sync")
    return stack.base_url("naive_sync")


@pytest.fixture(scope="module")
def async_url(stack: Stack) -> str:
    stack.start_twin("async_dedup")
    return stack.base_url("async_dedup")


@pytest.fixture(params=URL_FIXTURES)
def twin_url(request: pytest.FixtureRequest) -> str:
    """The address of each twin in turn."""
    return str(request.getfixturevalue(URL_FIXTURES[request.param]))


@pytest.fixture(scope="module")
def observed(install: Install) -> Iterator[Observed]:
    """Prometheus with a short run of both twins, which still run: until the end of the tests is too dear."""
    with (
        tempfile.TemporaryDirectory(prefix="twins-") as folder,
        # A limit that nobody reaches: with it the throttle's metrics are there.
        observe(
            install(Path(folder)), free_settings().model_copy(update={"rate_limit": 100_000.0})
        ) as watched,
    ):
        yield watched


@pytest.fixture
def engine(stack: Stack) -> Iterator[Engine]:
    """As worker and scheduler have it."""
    engine = make_background_engine(stack.settings)
    yield engine
    engine.dispose()


@pytest.fixture
def queue(stack: Stack) -> Queue:
    return digest_queue(stack.settings, 2.0)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that accepts connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]
