"""What the async twin says about itself, and whether it takes events, while a part of it is away."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from async_dedup.buffer import Buffer
from loadtests.stack import Stack
from shared.fingerprint import fingerprint
from tests import client
from tests.client import ERRORS, HEALTH, METRICS, READY, get
from tests.parts import alone, counted, engine_of, frozen, full, servers_up, times_seen, wait_until


@pytest.fixture(scope="module", autouse=True)
def _alone(stack: Stack) -> Iterator[None]:
    with alone(stack):
        yield


@pytest.fixture
def url(stack: Stack) -> str:
    """The async twin, up and ready."""
    servers_up(stack)
    stack.start_twin("async_dedup")
    url = stack.base_url("async_dedup")
    wait_until(lambda: get(url, READY).status == 200)
    return url


def states(url: str) -> tuple[int, str, dict[str, str]]:
    health = get(url, HEALTH)
    data = health.json["data"]
    return health.status, data["status"], {name: part["state"] for name, part in data["dependencies"].items()}


def check_refused(answer: client.Answer, reason: str) -> None:
    assert (answer.status, answer.json["message"]) == (503, reason)
    assert int(answer.headers["Retry-After"]) > 0


def ingest(url: str) -> dict[str, str]:
    return dict(get(url, HEALTH).json["data"]["ingest"])


def is_back(url: str) -> bool:
    return ingest(url)["state"] == "redis"


def test_all_is_up(url: str) -> None:
    wait_until(lambda: is_back(url))
    assert states(url) == (200, "up", {"mysql": "up", "redis": "up"})
    assert set(ingest(url)) == {"state", "since"}


def test_without_redis_it_is_ready_and_keeps_events_in_mysql(stack: Stack, url: str) -> None:
    engine = engine_of(stack)
    stack.kill("redis")
    assert client.log(url, "kept in MySQL").status == 200
    assert fingerprint("kept in MySQL") in times_seen(engine)
    assert get(url, READY).status == 200
    assert get(url, client.ERRORS).status == 200
    assert states(url) == (200, "degraded", {"mysql": "up", "redis": "down"})
    told = ingest(url)
    assert told["state"] == "direct"
    assert told["reason"].startswith("Redis: Redis can't be reached")
    assert 'ingest_state{state="direct"} 1.0' in get(url, "/metrics").body.decode()
    stack.start("redis")
    wait_until(lambda: is_back(url))
    assert client.log(url, "kept").status == 200
    engine.dispose()


def test_without_both_it_is_ready_and_spools(stack: Stack, url: str) -> None:
    engine = engine_of(stack)
    wait_until(lambda: is_back(url))
    for role in ("redis", "mysql"):
        stack.kill(role)
    assert client.log(url, "kept in a file").status == 200
    assert (ingest(url)["state"], get(url, READY).status) == ("spool", 200)
    check_refused(get(url, client.ERRORS), "MySQL is not available")
    servers_up(stack)
    wait_until(lambda: is_back(url))
    wait_until(lambda: times_seen(engine).get(fingerprint("kept in a file")) == 1)
    wait_until(lambda: "spool_bytes 0.0" in get(url, "/metrics").body.decode())  # after its commit
    engine.dispose()


def test_a_frozen_redis_is_one_that_is_down(stack: Stack, url: str) -> None:
    wait_until(lambda: is_back(url))
    with frozen(stack.pid("redis")):
        check_refused(client.log(url, "nobody can tell"), "The event could not be kept")
        assert client.log(url, "kept in MySQL").status == 200
        assert get(url, READY).status == 200


def test_a_frozen_redis_costs_one_time_out(stack: Stack, url: str) -> None:
    """Whoever waits behind those that are in flight, and for a connection, included."""
    wait_until(lambda: is_back(url))

    def log(delay: float) -> tuple[int, float]:
        time.sleep(delay)
        started = time.monotonic()
        status = client.log(url, f"while it is frozen {delay}").status
        return status, time.monotonic() - started

    with frozen(stack.pid("redis")), ThreadPoolExecutor(12) as users:
        answers = [*users.map(log, (each / 4 for each in range(12)))]
    assert [status for status, _ in answers] == [503, *[200] * 11]
    assert max(waited for _, waited in answers) < 1.9 * stack.settings.redis_timeout


def test_a_full_redis_is_left_for_mysql(stack: Stack, url: str) -> None:
    wait_until(lambda: is_back(url))
    buffer = Buffer(stack.settings)
    with full(buffer.redis):
        assert client.log(url, "kept in MySQL").status == 200
        assert states(url) == (200, "degraded", {"mysql": "up", "redis": "up"})
        assert "maxmemory" in ingest(url)["reason"]
        assert get(url, READY).status == 200
    assert buffer.redis.info("stats")["evicted_keys"] == 0
    wait_until(lambda: is_back(url))
    assert client.log(url, "kept").status == 200


def test_without_mysql_it_is_ready_and_takes_events_that_come_to_mysql_later(stack: Stack, url: str) -> None:
    buffer, engine = Buffer(stack.settings), engine_of(stack)
    wait_until(lambda: not counted(buffer))
    before = sum(times_seen(engine).values())
    stack.kill("mysql")
    assert [client.log(url, f"while it is away {number}").status for number in range(3)] == [200] * 3
    assert states(url) == (200, "degraded", {"mysql": "down", "redis": "up"})
    check_refused(get(url, client.ERRORS), "MySQL is not available")
    stack.start("mysql")
    wait_until(lambda: sum(times_seen(engine).values()) == before + 3)
    engine.dispose()


def test_without_flushes_it_is_not_ready_and_says_so(stack: Stack, url: str) -> None:
    stack.stop("scheduler")
    wait_until(lambda: get(url, READY).status == 503)
    answer = get(url, READY)
    assert answer.status == 503
    assert answer.json["message"].startswith("The last flush was")
    assert client.log(url, "kept all the same").status == 200
    stack.start("scheduler")
    wait_until(lambda: get(url, READY).status == 200)


def test_a_first_event_that_waits_too_long_is_a_reason_not_to_be_ready(stack: Stack, url: str) -> None:
    buffer = Buffer(stack.settings)
    stack.stop("worker")
    stack.stop("scheduler")
    buffer.redis.delete("hpt:first_events")  # it remembers its newest id, and takes none before that
    buffer.redis.xadd("hpt:first_events", {"fingerprint": b"f" * 32, "event": '{"message": "m"}'}, id="1-1")
    assert get(url, READY).status == 503
    assert "A first event has waited" in get(url, READY).json["message"]
    stack.start_twin("async_dedup")
    wait_until(lambda: get(url, READY).status == 200)


def test_what_is_set_aside_is_told(stack: Stack, url: str) -> None:
    buffer = Buffer(stack.settings)
    before = get(url, HEALTH).json["data"]["set_aside"]
    for _ in range(2):
        buffer.redis.xadd("hpt:first_events", {"nothing": "that is known"})
    wait_until(lambda: get(url, HEALTH).json["data"]["set_aside"] == before + 2)
    assert f"set_aside_entries {before + 2:.1f}" in get(url, "/metrics").body.decode()
    wait_until(lambda: get(url, READY).status == 200)


def test_lists_that_wait_for_mysql_stop_neither_health_nor_metrics(stack: Stack, url: str) -> None:
    """There are more of them than FastAPI has threads, and than there are connections."""
    with closing(stack.mysql.connect()) as locking, ThreadPoolExecutor(60) as clients:
        with locking.cursor() as cursor:

            def waiting() -> int:
                cursor.execute("SHOW PROCESSLIST")
                return sum("SELECT" in str(row[7]) and "lock" in str(row[6]) for row in cursor.fetchall())

            cursor.execute("LOCK TABLES issues WRITE")
            lists = [clients.submit(get, url, ERRORS) for _ in range(60)]
            wait_until(lambda: waiting() == stack.settings.pool_size)
            answers = [get(url, path) for path in (HEALTH, READY, METRICS) for _ in range(20)]
            assert {answer.status for answer in answers[:20] + answers[40:]} == {200}
            assert {answer.status for answer in answers[20:40]} <= {200, 503}  # it can't flush just now
            assert not any(each.done() for each in lists)
            cursor.execute("UNLOCK TABLES")
        assert {each.result().status for each in lists} == {200}
