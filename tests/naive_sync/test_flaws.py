"""The naive twin's six flaws: each test fails if its flaw goes away. And the async twin has none of them."""

import getpass
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pymysql
import pytest

from loadtests.load.subjects import ASYNC, NAIVE
from loadtests.stack import ROLES_OF, Stack, process
from loadtests.stack.roles import define_roles
from shared.fingerprint import DEFAULT_SERVICE, fingerprint
from shared.quota import OVERFLOW
from shared.settings import environment
from tests import client
from tests.conftest import free_settings
from tests.parts import locked_issue

CLIENTS = 16
ROUNDS = 50
"""Far more than a race needs to show; a flaw that is gone costs them all, and fails."""


BUDGET = 5


def at_once(url: str, message: str) -> Counter[int]:
    """The same event from every client at the same moment; how often each status was the answer."""
    return Counter(answer.status for answer in all_at_once(url, [message] * CLIENTS, DEFAULT_SERVICE))


def all_at_once(url: str, messages: Sequence[str], service: str) -> list[client.Answer]:
    start = threading.Barrier(len(messages))

    def send(message: str) -> client.Answer:
        start.wait()
        return client.log(url, message, service=service)

    with ThreadPoolExecutor(len(messages)) as clients:
        return list(clients.map(send, messages))


@contextmanager
def another(stack: Stack, folder: Path, twin: str, **own: Any) -> Iterator[str]:
    """One more server of the twin, on the stack's stores, with settings of its own."""
    ports = free_settings().model_dump(include={"naive_port", "naive_metrics_port", "async_port"})
    settings = stack.settings.model_copy(update={**ports, "spool_folder": folder / "spool", **own})
    role = define_roles(stack.run_dir, settings, stack.mysql)[twin]
    child = process.spawn(role.command, folder / f"{twin}.log", environment(settings), None)
    try:
        client.eventually(role.is_ready, f"{twin} is ready")
        yield f"http://{role.address}"
    finally:
        process.stop(child)


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
    """A naive twin with two connections and little patience. `naive_url` made the tables."""
    with another(stack, tmp_path, NAIVE, pool_size=2, pool_timeout=0.5) as url:
        yield url


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


LIMIT = {"rate_limit": 0.001, "rate_burst": 20}


def let_through(url: str, message: str, enough: int) -> int:
    """How many events are, until there are `enough`, or nobody has been for long; and those after that."""
    passed = int(client.log(url, message).status == 200)  # alone: two first events would be flaw 2
    for _ in range(ROUNDS):
        passed += at_once(url, message)[200]
        if passed >= enough:
            break
    return passed + at_once(url, message)[200]


@pytest.mark.parametrize("processes", [1, 2])
def test_flaw_5_each_process_lets_through_all_that_there_may_be(
    stack: Stack, naive_url: str, tmp_path: Path, processes: int
) -> None:
    may = processes * LIMIT["rate_burst"]
    with another(stack, tmp_path, NAIVE, workers=processes, **LIMIT) as url:
        assert let_through(url, f"flaw 5, {processes}", int(may)) == may


def test_the_async_twins_processes_have_one_limit(stack: Stack, async_url: str, tmp_path: Path) -> None:
    with another(stack, tmp_path, ASYNC, workers=2, **LIMIT) as url:
        assert let_through(url, "without flaw 5", 2 * CLIENTS) == LIMIT["rate_burst"]


def new_at_once(url: str, service: str) -> list[client.Answer]:
    """A new issue from every client at the same moment."""
    return all_at_once(url, [f"new issue {number}" for number in range(CLIENTS)], service)


def test_flaw_6_of_issues_that_are_new_at_once_there_are_too_many(
    stack: Stack, naive_url: str, tmp_path: Path
) -> None:
    with another(stack, tmp_path, NAIVE, new_issues=BUDGET) as url:
        for number in range(ROUNDS):
            service = f"flaw-6-{number}"
            answers = new_at_once(url, service)
            assert {answer.status for answer in answers} <= {200, 500}  # flaw 2, on the overflow issue
            issues = client.get(url, f"{client.ERRORS}?service={service}&limit=100").json["data"]["issues"]
            created = sum(issue["message"] != OVERFLOW for issue in issues)
            assert created >= BUDGET
            if created > BUDGET:
                return
    pytest.fail("the budget held")


def test_the_async_twins_budget_holds(stack: Stack, async_url: str, tmp_path: Path) -> None:
    with another(stack, tmp_path, ASYNC, new_issues=BUDGET) as url:
        for number in range(5):
            answers = new_at_once(url, f"without-flaw-6-{number}")
            told = Counter(answer.json["data"]["status"] for answer in answers)
            assert told == {"queued": BUDGET, "folded": CLIENTS - BUDGET}
