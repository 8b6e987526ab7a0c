"""What a twin in the open does not show, and what it keeps for itself."""

import resource
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from async_dedup.buffer import Buffer
from async_dedup.connection import SPARE_DESCRIPTORS
from loadtests.load.subjects import TWINS
from loadtests.stack import Stack
from loadtests.stack.roles import define_roles
from shared.settings import Settings
from tests import client
from tests.conftest import free_settings
from tests.contract.test_log import check_failure
from tests.parts import running, wait_until

HIDDEN = ("/docs", "/docs/swagger-ui.css", "/openapi.json", "/metrics")


@pytest.fixture(params=TWINS)
def hiding(stack: Stack, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[str, Settings]]:
    """A twin that shows nothing but the API, on the stack's servers; its address and its settings."""
    stack.start("mysql", "redis")
    own = free_settings().model_copy(
        update={
            **{"mysql_port": stack.settings.mysql_port, "redis_port": stack.settings.redis_port},
            **{"spool_folder": tmp_path / "spool", "show_docs": False, "show_metrics": False},
        }
    )
    role = define_roles(stack.run_dir, own, stack.mysql)[request.param]
    with running(own, tmp_path / "log", *role.command[1:]):
        wait_until(role.is_ready)
        yield f"http://{role.address}", own


def test_what_is_switched_off_is_not_found(hiding: tuple[str, Settings]) -> None:
    url, _ = hiding
    for path in HIDDEN:
        check_failure(client.get(url, path), 404)
    assert client.log(url, "nothing to see").status == 200


@pytest.mark.parametrize("hiding", ["naive_sync"], indirect=True)
def test_the_naive_twins_metrics_stay_on_their_own_port(hiding: tuple[str, Settings]) -> None:
    answer = client.get(f"http://127.0.0.1:{hiding[1].naive_metrics_port}", "/metrics")
    assert b"http_requests_in_flight" in answer.body


def test_nobody_listens_for_other_hosts(stack: Stack, naive_url: str, async_url: str) -> None:
    stack.start("worker", "scheduler")
    pids = [stack.pid(role) for role in ("mysql", "redis", "worker", "scheduler", *TWINS)]
    processes = [each for parent in map(psutil.Process, pids) for each in (parent, *parent.children(True))]
    heard = {
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert heard == {"127.0.0.1"}


def test_clients_leave_descriptors_for_the_stores(stack: Stack, async_url: str) -> None:
    pid = stack.pid("async_dedup")
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    kept = HTTPConnection(urlsplit(async_url).netloc, timeout=client.TIMEOUT)
    kept.connect()
    most = psutil.Process(pid).num_fds() + 20
    spare = SPARE_DESCRIPTORS + stack.settings.pool_size
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (most + spare, limits[1]))
    try:
        with ExitStack() as opened:
            many = [opened.enter_context(client.connect(async_url)) for _ in range(most + 20)]
            refused = client.receive(many[-1])
            check_failure(refused, 503)
            assert refused.headers["Retry-After"]
            # What goes on without Redis needs a connection to MySQL, or a file.
            Buffer(stack.settings).redis.client_kill_filter(_type="normal", skipme=True)
            kept.request("POST", client.LOG, b'{"message": "kept"}', client.JSON)
            assert kept.getresponse().status == 200
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        kept.close()
    client.eventually(lambda: client.log(async_url, "again").status == 200, "new clients are let in again")
