"""`GET /metrics`: the same names and buckets from both twins, exact counts, and labels that stay few."""

import json
import math
import random
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import psutil
import pytest
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from loadtests.stack import Stack
from shared import metrics
from shared.exposition import text as own_text
from shared.fingerprint import fingerprint
from shared.metrics import BUCKETS
from tests import client
from tests.conftest import Install, free_settings
from tests.parts import locked_issue

LOG = "/api/v1/errors/log"
SHARED = {
    "http_request_duration_seconds": "histogram",
    "http_requests": "counter",
    "http_requests_in_flight": "gauge",
    "mysql_operation_duration_seconds": "histogram",
    "redis_operation_duration_seconds": "histogram",
    "db_pool_connections": "gauge",
    "db_pool_waiting": "gauge",
    "mysql_errors": "counter",
    "events_folded": "counter",
}
ASYNC_ONLY = {
    "group_events": "histogram",
    "batch_events": "histogram",
    "batch_fingerprints": "histogram",
    "digest_events": "histogram",
    "flush_duration_seconds": "histogram",
    "digest_duration_seconds": "histogram",
    "row_freshness_seconds": "histogram",
    "events_flushed": "counter",
    "batches_replayed": "counter",
    "buffer_fingerprints": "gauge",
    "buffer_batches": "gauge",
    "flush_age_seconds": "gauge",
    "queue_depth": "gauge",
    "queue_age_seconds": "gauge",
    "set_aside": "counter",
    "set_aside_entries": "gauge",
    "flush_interval_seconds": "gauge",
}
FORESEEN = {(LOG, "POST", status): 0 for status in ("200", "400", "413", "415", "429", "500", "503")}
CAUSES = {"IntegrityError": 0, "OperationalError": 0, "PoolTimeout": 0}
ROUTES = {
    LOG,
    "/api/v1/errors",
    "/api/v1/errors/{fingerprint}",
    "/api/v1/services",
    "/api/v1/health",
    "/api/v1/ready",
    "/metrics",
    "/openapi.json",
    "/docs",
    "unmatched",
}


def exposition(url: str) -> str:
    answer = client.get(url, "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    return answer.body.decode()


def types(url: str) -> dict[str, str]:
    return {family.name: family.type for family in text_string_to_metric_families(exposition(url))}


def samples(url: str) -> list[Sample]:
    return [s for family in text_string_to_metric_families(exposition(url)) for s in family.samples]


def counts(url: str, name: str = "http_requests_total") -> Mapping[tuple[str, str, str], float]:
    """By route, method and status."""
    return {
        (s.labels["route"], s.labels["method"], s.labels["status_code"]): s.value
        for s in samples(url)
        if s.name == name
    }


def hot(url: str, name: str = "http_requests_total") -> Mapping[tuple[str, str, str], float]:
    return {key: value for key, value in counts(url, name).items() if key[0] == LOG}


def change(url: str, action: Callable[[], object], name: str = "http_requests_total") -> dict[object, float]:
    """What `action` added; without the calls of /metrics itself."""
    before = counts(url, name)
    action()
    after = counts(url, name)
    grown = {key: value - before.get(key, 0) for key, value in after.items()}
    return {key: value for key, value in grown.items() if value and key[0] != "/metrics"}


def test_both_twins_have_the_shared_metrics(twin_url: str) -> None:
    assert SHARED.items() <= types(twin_url).items()


def test_only_the_async_twin_has_those_of_its_pipeline(naive_url: str, async_url: str) -> None:
    assert ASYNC_ONLY.items() <= types(async_url).items()
    assert not ASYNC_ONLY.keys() & types(naive_url).keys()


@pytest.mark.parametrize("twin", ["naive_sync", "async_dedup"])
def test_what_can_be_foreseen_counts_from_zero(stack: Stack, twin: str) -> None:
    """But for histograms, whose buckets would double a scrape."""
    stack.stop_twin(twin)
    stack.start_twin(twin)
    url = stack.base_url(twin)
    assert hot(url) == FORESEEN
    assert errors(url) == CAUSES
    assert hot(url, "http_request_duration_seconds_count") == {}


def bounds(url: str, name: str) -> set[str]:
    return {s.labels["le"] for s in samples(url) if s.name == f"{name}_bucket"}


def test_every_scrape_has_all_requests_that_were_answered_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many threads, while some wait to be put into the metrics together."""
    monkeypatch.setattr(metrics, "AT_ONCE", 3)
    per_thread = 2_000
    labels = {"route": "many threads", "method": "POST", "status_code": "200"}
    answered = [0] * 8

    def answer(thread: int) -> None:
        for _ in range(per_thread):
            metrics.observe_request("many threads", "POST", 200, 0.01)
            answered[thread] += 1

    def shown() -> tuple[float, float]:
        families = text_string_to_metric_families(own_text().decode())
        found = {s.name: s.value for f in families for s in f.samples if s.labels == labels}
        return found["http_requests_total"], found["http_request_duration_seconds_count"]

    metrics.observe_request("many threads", "POST", 200, 0.01)
    with ThreadPoolExecutor(len(answered)) as pool:
        threads = [pool.submit(answer, thread) for thread in range(len(answered))]
        while not all(thread.done() for thread in threads):
            before = 1 + sum(answered)
            count, observed = shown()
            assert before <= count <= 1 + len(answered) * per_thread
            assert before <= observed
    assert shown() == (1 + len(answered) * per_thread,) * 2


def test_a_scrape_waits_for_those_that_are_just_put_into_the_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "AT_ONCE", 1)
    busy, go_on = Event(), Event()
    duration, count = metrics._children("slow", "POST", 200)

    def observe_all(amounts: list[float]) -> None:
        if amounts:
            busy.set()
            assert go_on.wait(10)
        duration.observe_all(amounts)

    monkeypatch.setattr(metrics, "_children", lambda *_: (SimpleNamespace(observe_all=observe_all), count))
    with ThreadPoolExecutor(2) as pool:
        pool.submit(metrics.observe_request, "slow", "POST", 200, 0.01)
        assert busy.wait(10)
        scrape = pool.submit(own_text)
        wait([scrape], timeout=0.3)  # it has all the time to come too early
        go_on.set()
        assert b'http_requests_total{method="POST",route="slow",status_code="200"} 1.0' in scrape.result()


@pytest.mark.parametrize("name", ["http_request_duration_seconds", "mysql_operation_duration_seconds"])
def test_the_buckets_are_the_same(naive_url: str, async_url: str, name: str) -> None:
    for url in (naive_url, async_url):
        client.log(url, "a request for the buckets")
        client.get(url, client.ERRORS)  # the async twin's only way to MySQL
    assert len(bounds(naive_url, name)) == len(BUCKETS) + 1
    assert bounds(naive_url, name) == bounds(async_url, name)


@pytest.mark.parametrize("name", ["http_requests_total", "http_request_duration_seconds_count"])
def test_a_hundred_requests_count_as_a_hundred(twin_url: str, name: str) -> None:
    def hundred() -> None:
        for number in range(60):
            assert client.log(twin_url, f"counted {number}").status == 200
        for _ in range(40):
            assert client.log(twin_url, "").status == 400

    assert change(twin_url, hundred, name) == {(LOG, "POST", "200"): 60, (LOG, "POST", "400"): 40}


def test_the_same_requests_count_the_same_in_both(naive_url: str, async_url: str) -> None:
    def visit(url: str) -> None:
        client.log(url, "counted alike")
        client.post(url, b"{}", {})
        client.post(url, b" " * 300_000)
        for method in ("GET", "HEAD", "POST", "OPTIONS"):
            for path in (LOG, client.ERRORS, f"{client.ERRORS}/{'0' * 64}", client.HEALTH, "/nowhere"):
                client.send(url, method, path)

    assert change(naive_url, lambda: visit(naive_url)) == change(async_url, lambda: visit(async_url))


def test_requests_in_flight_come_back_to_the_one_that_asks(twin_url: str) -> None:
    for body in (b"{}", b" " * 300_000):
        client.post(twin_url, body)
    client.eventually(
        lambda: [s.value for s in samples(twin_url) if s.name == "http_requests_in_flight"] == [1.0],
        "only the request for the metrics is in flight",
    )


def test_no_label_holds_what_a_client_sends(stack: Stack, twin_url: str, async_url: str) -> None:
    message = "zxq a message that no label may hold"
    key = fingerprint(message, "zxqservice")
    client.log(twin_url, message, service="zxqservice")
    client.issue(twin_url, key)
    client.get(twin_url, f"{client.ERRORS}?service=zxqservice")
    client.get(twin_url, f"/zxqpath/{key}")
    client.send(twin_url, "ZXQMETHOD", LOG)
    shown = exposition(twin_url)
    if twin_url == async_url:
        settings = stack.settings
        for port in (settings.worker_metrics_port, settings.scheduler_metrics_port):
            shown += exposition(f"http://{settings.host}:{port}")
    assert "zxq" not in shown.lower()
    assert key not in shown


def test_unknown_paths_and_methods_share_a_label_each(twin_url: str) -> None:
    def wander() -> None:
        for number in range(20):
            client.get(twin_url, f"/wp-login-{number}.php")

    assert change(twin_url, wander) == {("unmatched", "GET", "404"): 20}
    for number in range(20):
        client.send(twin_url, f"BREW{number}", LOG)
    routes, methods = {route for route, _, _ in counts(twin_url)}, {m for _, m, _ in counts(twin_url)}
    assert routes <= ROUTES
    assert not {method for method in methods if method.startswith("BREW")}


def test_a_route_that_was_not_called_fails_no_scrape(async_url: str, stack: Stack) -> None:
    """Worker and scheduler have metrics of their own, the events they have moved among them."""
    client.log(async_url, "moved")
    client.issue(async_url, fingerprint("moved"))
    moved = {
        s.name: s.value
        for port in (stack.settings.worker_metrics_port, stack.settings.scheduler_metrics_port)
        for s in samples(f"http://{stack.settings.host}:{port}")
        if s.value and not s.labels
    }
    assert {
        "digest_events_sum",
        "digest_duration_seconds_sum",
        "row_freshness_seconds_sum",
        "events_flushed_total",
        "batch_events_sum",
        "batch_fingerprints_sum",
    } <= set(moved)


def metrics_only(stack: Stack) -> str:
    return f"http://{stack.settings.host}:{stack.settings.naive_metrics_port}"


def posted(message: str) -> bytes:
    """A whole request."""
    body = json.dumps({"message": message}).encode()
    return client.head("Content-Type: application/json", f"Content-Length: {len(body)}") + body


def test_the_naive_twin_answers_a_scrape_while_every_thread_is_busy(stack: Stack, naive_url: str) -> None:
    message = "every thread is busy"
    client.log(naive_url, message)
    with ExitStack() as held, locked_issue(stack, message):
        for _ in range(100):
            held.enter_context(client.connect(naive_url)).sendall(posted(message))
        client.eventually(lambda: value(metrics_only(stack), "http_requests_in_flight") == 64, "all are busy")
    client.eventually(lambda: value(naive_url, "http_requests_in_flight") == 1, "all are free again")


def test_failed_statements_are_counted_by_their_cause(naive_url: str, stack: Stack) -> None:
    before = errors(naive_url)
    with stack.mysql.connect() as mysql, mysql.cursor() as cursor:
        cursor.execute("RENAME TABLE issues TO elsewhere")
        try:
            assert client.log(naive_url, "no table").status == 500
        finally:
            cursor.execute("RENAME TABLE elsewhere TO issues")
    assert errors(naive_url) == before | {"ProgrammingError": before.get("ProgrammingError", 0) + 1}


def errors(url: str) -> dict[str, float]:
    return {s.labels["error"]: s.value for s in samples(url) if s.name == "mysql_errors_total"}


def test_requests_that_wait_for_a_connection_are_shown(stack: Stack, naive_url: str) -> None:
    with stack.mysql.connect() as mysql, mysql.cursor() as cursor:
        cursor.execute("LOCK TABLES issues WRITE")
        with ThreadPoolExecutor(40) as pool:
            answers = [pool.submit(client.log, naive_url, f"waits {number}") for number in range(40)]
            client.eventually(lambda: value(naive_url, "db_pool_waiting") == 10, "10 of 40 wait")
            in_use = [s.value for s in samples(naive_url) if s.labels.get("state") == "in_use"]
            cursor.execute("UNLOCK TABLES")
            assert {answer.result().status for answer in answers} == {200}
    assert in_use == [30]
    assert value(naive_url, "db_pool_waiting") == 0


def value(url: str, name: str) -> float:
    """Of a metric without labels."""
    return next(s.value for s in samples(url) if s.name == name)


JSON_OF_10_BYTES = ("Content-Type: application/json", "Content-Length: 10")


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory, install: Install) -> Iterator[Stack]:
    """A stack whose servers have two processes each."""
    settings = free_settings().model_copy(update={"workers": 2})
    with Stack(install(tmp_path_factory.mktemp("two")), settings) as stack:
        stack.start("mysql", "redis")
        yield stack


def workers(stack: Stack, twin: str) -> list[psutil.Process]:
    children = psutil.Process(stack.pid(twin)).children()
    return [child for child in children if "resource_tracker" not in " ".join(child.cmdline())]


@pytest.mark.parametrize("twin", ["naive_sync", "async_dedup"])
def test_two_processes_count_as_one(two_processes: Stack, twin: str) -> None:
    stack = two_processes
    stack.start(twin)
    url = stack.base_url(twin)
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda n: client.log(url, f"event {n}").status, range(500)))
    assert statuses == [200] * 500
    key = (LOG, "POST", "200")
    assert {counts(url)[key] for _ in range(20)} == {500}
    assert {counts(url, "http_request_duration_seconds_count")[key] for _ in range(5)} == {500}
    assert len({file.stem.rpartition("_")[2] for file in metrics_files(stack, twin)}) >= 2
    if twin == "naive_sync":
        assert counts(metrics_only(stack))[key] == 500

    with ExitStack() as held:
        if twin == "naive_sync":  # whose threads get no request that is not whole
            held.enter_context(locked_issue(stack, "event 1"))
        unfinished = held.enter_context(client.connect(url))
        unfinished.sendall(posted("event 1") if twin == "naive_sync" else client.head(*JSON_OF_10_BYTES))
        client.eventually(lambda: value(url, "http_requests_in_flight") == 1, "a request is in flight")
        for worker in workers(stack, twin):
            worker.kill()
        client.eventually(lambda: answers(url), "other workers have taken over")
    client.eventually(lambda: value(url, "http_requests_in_flight") == 0, "the dead have nothing in flight")
    assert counts(url)[key] == 500

    stack.stop(twin)
    stack.start(twin)
    assert hot(url) == FORESEEN
    stack.stop(twin)


def metrics_files(stack: Stack, twin: str) -> list[Path]:
    return list((stack.run_dir / "metrics" / twin).glob("histogram_*.db"))


def answers(url: str) -> bool:
    try:
        return client.get(url, "/metrics").status == 200
    except OSError:
        return False


def test_one_process_keeps_its_metrics_in_memory(stack: Stack, naive_url: str, async_url: str) -> None:
    assert not (stack.run_dir / "metrics").exists()


def read_quantile(values: list[float], q: float) -> float:
    """As Prometheus reads it: linear within the bucket."""
    histogram: Histogram = Histogram("h", "", registry=CollectorRegistry(), buckets=BUCKETS)
    for value in values:
        histogram.observe(value)
    samples_ = next(iter(histogram.collect())).samples
    found = [(float(s.labels["le"]), s.value) for s in samples_ if s.name == "h_bucket"]
    rank, lower, below = q * found[-1][1], 0.0, 0.0
    for upper, count in found:
        if count >= rank:
            return lower + (upper - lower) * (rank - below) / (count - below)
        lower, below = upper, count
    raise AssertionError("no bucket holds the quantile")


DRAWS: dict[str, Callable[[random.Random], float]] = {
    "log-normal": lambda r: r.lognormvariate(0, 0.5),
    "log-normal, narrow": lambda r: r.lognormvariate(0, 0.2),
    "log-normal, wide": lambda r: r.lognormvariate(0, 1),
    "exponential": lambda r: r.expovariate(1),
    "uniform": lambda r: r.uniform(0.5, 1.5),
    "constant": lambda _: 1.0,
    "two humps": lambda r: r.lognormvariate(0, 0.3) * r.choice((1, 1, 1, 20)),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@pytest.mark.parametrize("q", [0.5, 0.95, 0.99])
def test_a_quantile_read_from_the_buckets_is_within_ten_percent(
    draw: Callable[[random.Random], float], q: float
) -> None:
    shape = sorted(map(draw, [random.Random(1)] * 5_000))
    true = shape[math.ceil(q * len(shape)) - 1]
    for wanted in (0.001, 0.0033, 0.01, 0.047, 0.1, 0.3, 1.0, 2.2, 5.0, 10.0):
        values = [value * wanted / true for value in shape]
        assert read_quantile(values, q) == pytest.approx(wanted, rel=0.1)
