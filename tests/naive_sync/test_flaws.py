"""The naive twin's four flaws: each test fails if its flaw goes away. And the async twin has none of them."""

import getpass
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from pathlib import Path

import pymysql
import pytest

from loadtests.stack import ROLES_OF, Stack, process
from loadtests.stack.roles import define_roles
from shared.fingerprint import fingerprint
from shared.settings import environment
from tests import client
from tests.conftest import free_settings
from tests.parts import locked_issue

CLIENTS = 16
ROUNDS = 50
"""Far more than a race needs to show; a flaw that is gone costs them all, and fails."""


def at_once(url: str, message: str) -> Counter[int]:
    """The same event from every client at the same moment; how often each status was the answer."""
    start = threading.Barrier(CLIENTS)

    def send() -> int:
        start.wait()
        return client.log(url, message).status

    with ThreadPoolExecutor(CLIENTS) as clients:
        return Counter(each.result() for each in [clients.submit(send) for _ in range(CLIENTS)])


def test_flaw_1_events_that_come_at_once_are_acknowledged_and_not_counted(naive_url: str) -> None:
    message = "flaw 1"
    client.log(naive_url, message)
    acknowledged = 1
    for _ in range(ROUNDS):
        acknowledged += at_once(naive_url, message)[200]
        recorded = client.issue(naive_url, fingerprint(message)).times_seen
        if recorded < acknowledged:
            return
    pytest.fail(f"{recorded} of {acknowledged} recorded: no update was lost")


def test_flaw_2_of_two_first_events_at_once_one_gets_a_500(naive_url: str) -> None:
    for number in range(ROUNDS):
        answers = at_once(naive_url, f"flaw 2, {number}")
        assert set(answers) <= {200, 500}
        if answers[500]:
            assert client.issue(naive_url, fingerprint(f"flaw 2, {number}")).times_seen >= 1
            return
    pytest.fail("the first events of one issue never met")


def test_the_async_twin_counts_them_all_and_fails_none(async_url: str) -> None:
    for number in range(5):
        message = f"neither flaw 1 nor 2, {number}"
        assert at_once(async_url, message) == {200: CLIENTS}
        assert client.issue(async_url, fingerprint(message)).times_seen == CLIENTS


@pytest.fixture
def small_pool_url(stack: Stack, naive_url: str, tmp_path: Path) -> Iterator[str]:
    """One more naive twin, with two connections and little patience. `naive_url` made the tables."""
    ports = free_settings().model_dump(include={"naive_port", "naive_metrics_port"})
    settings = stack.settings.model_copy(update={**ports, "pool_size": 2, "pool_timeout": 0.5})
    role = define_roles(stack.run_dir, settings, stack.mysql)["naive_sync"]
    child = process.spawn(role.command, tmp_path / "small_pool.log", environment(settings), None)
    try:
        client.eventually(role.is_ready, "the naive twin with the small pool is ready")
        yield f"http://{role.address}"
    finally:
        process.stop(child)


def connections_in_use(url: str) -> int:
    return int(client.get(url, client.HEALTH).json["data"]["dependencies"]["mysql"]["pool"]["in_use"])


def test_flaw_3_without_a_free_connection_requests_wait_and_time_out(
    stack: Stack, small_pool_url: str
) -> None:
    message = "flaw 3"
    client.log(small_pool_url, message)
    with ThreadPoolExecutor(6) as clients:
        with locked_issue(stack, message):
            requests = [clients.submit(client.log, small_pool_url, message) for _ in range(6)]
            client.eventually(lambda: connections_in_use(small_pool_url) == 2, "the pool is drained")
            done = as_completed(requests, client.TIMEOUT)
            refused = [next(done).result() for _ in range(4)]
        kept = [each.result() for each in done]
    assert [answer.status for answer in refused] == [503] * 4
    assert {answer.headers["Retry-After"] for answer in refused} == {"1"}
    assert {answer.json["message"] for answer in refused} == {"No MySQL connection became free in time"}
    assert [answer.status for answer in kept] == [200, 200]


def root(stack: Stack) -> "pymysql.Connection[pymysql.cursors.Cursor]":
    """The server's administrator, through its Unix socket."""
    user = getpass.getuser() if stack.mysql.is_mariadb else "root"
    return pymysql.connect(unix_socket=str(stack.mysql.socket), user=user, autocommit=True)


@contextmanager
def general_log(stack: Stack) -> Iterator[Callable[[], list[str]]]:
    """Yields what reads the verbs of all statements that the twins have sent since the last call."""
    with closing(root(stack)) as connection, connection.cursor() as cursor:

        def verbs() -> list[str]:
            cursor.execute(
                "SELECT CONVERT(argument USING utf8mb4) FROM mysql.general_log"
                " WHERE command_type IN ('Query', 'Execute') AND user_host LIKE %s",
                [f"{stack.settings.mysql_user}%"],
            )
            found = [argument.split(None, 1)[0].upper() for (argument,) in cursor.fetchall()]
            cursor.execute("TRUNCATE TABLE mysql.general_log")
            return found

        cursor.execute("SET GLOBAL log_output = 'TABLE'")
        cursor.execute("SET GLOBAL general_log = ON")
        try:
            verbs()
            yield verbs
        finally:
            cursor.execute("SET GLOBAL general_log = OFF")


@pytest.fixture
def only_the_apps(stack: Stack, naive_url: str, async_url: str) -> Iterator[None]:
    """Worker and scheduler stand still, so that every statement is a request's."""
    background = ROLES_OF["async_dedup"][1:]
    for role in background:
        stack.stop(role)
    yield
    for role in background:
        stack.start(role)


def test_flaw_4_the_client_waits_for_three_statements(
    stack: Stack, naive_url: str, only_the_apps: None
) -> None:
    """All are in the log when the answer is there. The ROLLBACK is how the pool takes a connection back."""
    with general_log(stack) as verbs:
        assert client.log(naive_url, "flaw 4").status == 200
        assert verbs() == ["SELECT", "INSERT", "COMMIT", "ROLLBACK"]
        assert client.log(naive_url, "flaw 4").status == 200
        assert verbs() == ["SELECT", "UPDATE", "COMMIT", "ROLLBACK"]


def test_the_async_twins_request_sends_none(stack: Stack, async_url: str, only_the_apps: None) -> None:
    with general_log(stack) as verbs:
        for message in ("without flaw 4", "without flaw 4", "nor this one"):
            assert client.log(async_url, message).status == 200
        assert verbs() == []
        client.get(async_url, client.ERRORS)
        assert "SELECT" in verbs()  # else the log would show nothing of this twin at all


def test_flaw_4_a_lock_in_mysql_stops_the_naive_twins_client_only(
    stack: Stack, naive_url: str, async_url: str
) -> None:
    message = "flaw 4, locked"
    client.log(naive_url, message)
    with ThreadPoolExecutor(1) as clients:
        with locked_issue(stack, message):
            waiting: Future[client.Answer] = clients.submit(client.log, naive_url, message)
            client.eventually(lambda: connections_in_use(naive_url) == 1, "the naive twin waits")
            assert client.log(async_url, message).status == 200
            assert not waiting.done()
        assert waiting.result().status == 200
    assert client.issue(async_url, fingerprint(message)).times_seen == 3
