"""The load profile in real Locust processes: repeatable, complete, and run in every way Locust can be."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from loadtests.load.profiles import NOISY_ONE, OTHERS, at_rate
from loadtests.stack import process
from loadtests.trial.generator import LOCUSTFILE
from shared.fingerprint import fingerprint
from tests.conftest import free_settings, is_free
from tests.parts import wait_until
from tests.sink import Sink, sink

UNIQUE = re.compile(r"order \d+-(\S+)-(\d+) could not be charged")
OPEN = ("--profile=open", "--rate=100", "--level-seconds=1.5")
SMOKE = ("--profile=smoke", "--level-seconds=1")


@contextmanager
def locust(log: Path, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A Locust that is gone at the end of the block, with all its processes."""
    command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--loglevel=WARNING", *options]
    started = process.spawn(command, log, dict(os.environ), None)
    try:
        yield started
    finally:
        process.kill(started)


def ended(running: "subprocess.Popen[bytes]", record: Path) -> dict[str, Any]:
    status, said = running.wait(60), record.with_suffix(".log").read_text()
    assert status == 0, said
    assert "Traceback" not in said, said
    return dict(json.loads(record.read_text()))


def headless(server: Sink, record: Path, *options: str) -> tuple[str, ...]:
    return ("--headless", "--only-summary", f"--host={server.url}", f"--record={record}", *options)


@contextmanager
def recording(server: Sink, record: Path, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
    with locust(record.with_suffix(".log"), *headless(server, record, *options)) as running:
        yield running


def run(server: Sink, folder: Path, *options: str) -> dict[str, Any]:
    """Run Locust headless to its end; returns its record."""
    record = folder / "record.json"
    with recording(server, record, *options) as running:
        return ended(running, record)


def free_port() -> int:
    return free_settings().naive_port


def streams(server: Sink) -> dict[str, list[str]]:
    """Messages of each user, who is known from the unique ones."""
    users: dict[str, list[str]] = {}
    for messages in server.connections:
        names = {found[1] for found in map(UNIQUE.match, messages) if found}
        assert len(names) <= 1
        users.update(dict.fromkeys(names, messages))
    return users


def side_by_side(folder: Path, *runs: tuple[str, ...]) -> list[Sink]:
    """Run a Locust with each of these options, against a server of its own."""
    with ExitStack() as stack:
        sinks = [stack.enter_context(sink()) for _ in runs]
        records = [folder / f"{number}.json" for number in range(len(runs))]
        running = [
            stack.enter_context(recording(server, record, *options))
            for server, record, options in zip(sinks, records, runs, strict=True)
        ]
        for server, record, each in zip(sinks, records, running, strict=True):
            assert sum(ended(each, record)["acknowledged"].values()) == server.count
    return sinks


def with_seeds(*options: str) -> list[tuple[str, ...]]:
    """Return the options of two equal runs and of another one."""
    return [(*options, f"--seed={seed}") for seed in (1, 1, 2)]


def test_the_same_seed_gives_every_user_the_same_events_in_the_same_order(tmp_path: Path) -> None:
    one, same, other = map(streams, side_by_side(tmp_path, *with_seeds(*SMOKE)))
    users = one.keys() & same.keys() & other.keys()  # one that sent no unique event yet is not known
    assert len(users) > 5
    for user in users:
        common = min(len(one[user]), len(same[user]))
        assert one[user][:common] == same[user][:common]
        assert one[user] != other[user]


def test_the_same_seed_gives_the_open_model_the_same_events_in_the_same_order(tmp_path: Path) -> None:
    one, same, other = (server.messages for server in side_by_side(tmp_path, *with_seeds(*OPEN)))
    # The schedule ends at the same moment in both: nothing was left out at its end.
    assert len(one) > 200
    assert sorted(one) == sorted(same)
    assert max(map(places_off, (one, same))) < at_rate(100, 1).most_users
    assert set(one).isdisjoint(message for message in other if UNIQUE.match(message))


def places_off(messages: list[str]) -> int:
    """How far a unique event came from its place: each connection may be overtaken by all others."""
    found = ((place, UNIQUE.match(message)) for place, message in enumerate(messages))
    return max(abs(place - int(match[2])) for place, match in found if match)


NOISY_FOR = ("--profile=noisy", "--level-seconds=1,1,1")


def test_each_service_has_its_rate_and_connections_of_its_own(tmp_path: Path) -> None:
    with sink() as server:
        record = run(server, tmp_path, *NOISY_FOR)
    assert set(record["services"]) == {NOISY_ONE, *OTHERS}
    sent = {
        name: [level["acknowledged"] for level in each["levels"]] for name, each in record["services"].items()
    }
    assert 300 < sent[NOISY_ONE][1] < 500
    assert all(levels[1] < 60 for name, levels in sent.items() if name != NOISY_ONE)
    assert sum(record["acknowledged"].values()) == server.count
    sent_by = zip(server.connections, server.services, strict=True)
    pairs = [pair for messages, services in sent_by for pair in zip(messages, services, strict=True)]
    assert {fingerprint(*pair) for pair in pairs} == record["acknowledged"].keys()
    assert record["service_of"] == {fingerprint(*pair): pair[1] for pair in pairs}
    assert all(len(set(services)) <= 1 for services in server.services)


def test_two_hosts_share_every_service(tmp_path: Path) -> None:
    with sink() as one, sink() as other:
        record = tmp_path / "record.json"
        options = headless(one, record, *NOISY_FOR, f"--host={one.url},{other.url}")
        with locust(record.with_suffix(".log"), *options) as running:
            found = ended(running, record)
    assert sum(found["acknowledged"].values()) == one.count + other.count
    for server in (one, other):
        assert {each for services in server.services for each in services} == {NOISY_ONE, *OTHERS}
    assert 0.6 < one.count / other.count < 1.7


def test_in_a_rush_every_user_sends_one_new_event_over_a_connection_of_its_own(tmp_path: Path) -> None:
    users = 300
    with sink(seconds=0.2) as server:
        record = run(server, tmp_path, "--profile=rush", f"--rush={users}")
    assert sorted(map(len, server.connections)) == [0] * (len(server.connections) - users) + [1] * users
    assert len(set(server.messages)) == users == sum(record["acknowledged"].values())
    (level,) = record["levels"]
    assert level["acknowledged"] == users
    assert level["due_latency_ms"]["max"] >= level["latency_ms"]["p50"] >= 200


def test_the_part_of_a_trial_makes_its_unique_events_its_own(tmp_path: Path) -> None:
    parts = [(*SMOKE, f"--part={part}") for part in ("step1-", "step2-")]
    messages = [message for server in side_by_side(tmp_path, *parts) for message in server.messages]
    unique = [message for message in messages if UNIQUE.match(message)]
    repeated = set(messages) - set(unique)
    assert len(unique) == len(set(unique))
    assert {found[1].split("-")[0] for found in map(UNIQUE.match, unique) if found} == {"step1", "step2"}
    assert len(repeated) <= 100


def test_the_tail_is_waited_for_and_counted(tmp_path: Path) -> None:
    with sink(seconds=0.4) as server:
        record = run(server, tmp_path, *SMOKE)
        assert sum(record["acknowledged"].values()) == server.count
    last = record["levels"][-1]
    assert record["failed"] == record["unanswered"] == {}
    assert last["in_flight_at_end"] > 5
    assert last["latency_ms"]["p50"] > 400


def test_a_busy_server_delays_what_is_due_and_is_not_the_generators_fault(tmp_path: Path) -> None:
    """10 connections answer 7 requests in a second, and 10 are due."""
    with sink(seconds=1.5) as server:
        record = run(server, tmp_path, "--profile=open", "--rate=10", "--level-seconds=2")
        assert sum(record["acknowledged"].values()) == server.count
    (level,) = record["levels"]
    assert level["offered_rps"] * level["seconds"] == level["acknowledged"]
    assert level["sent_rps"] < level["offered_rps"]
    assert level["due_latency_ms"]["max"] > level["latency_ms"]["max"] + 500
    assert level["in_flight_at_end"] > level["in_flight_at_start"] >= 10
    assert level["generator"]["sent_share"] == 1


def test_a_generator_that_is_held_up_is_found_out_and_forgets_nothing(tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    with sink() as server, recording(server, record, *OPEN) as running:
        wait_until(lambda: server.count > 180)  # in the level: the warm-up has about 150
        running.send_signal(signal.SIGSTOP)
        time.sleep(0.7)  # nothing to wait for: this is how long it is held up
        running.send_signal(signal.SIGCONT)
        found = ended(running, record)
        assert sum(found["acknowledged"].values()) == server.count
    (level,) = found["levels"]
    assert level["offered_rps"] * level["seconds"] == level["acknowledged"]
    assert level["due_latency_ms"]["max"] > 600 > level["latency_ms"]["p50"]
    assert level["generator"]["sent_share"] < 0.9
    assert level["generator"]["loop_lag_p99_ms"] > 300


def test_processes_share_the_work_and_merge_without_loss(tmp_path: Path) -> None:
    with sink() as server:
        port = free_port()
        ports = (f"--master-bind-port={port}", f"--master-port={port}")
        record = run(server, tmp_path, *OPEN, "--processes=2", *ports)
        check_merged(record, server)


def test_master_and_workers_merge_without_loss(tmp_path: Path) -> None:
    """As on three machines."""
    record, port = tmp_path / "record.json", free_port()
    worker = (tmp_path / "worker.log", "--worker", "--master-host=127.0.0.1", f"--master-port={port}")
    leads = ("--master", "--expect-workers=2", f"--master-bind-port={port}", "--master-bind-host=127.0.0.1")
    with sink(seconds=1) as server, locust(*worker), locust(*worker):
        with recording(server, record, *SMOKE, *leads) as master:
            found = ended(master, record)
        check_merged(found, server)
    assert found["levels"][-1]["in_flight_at_end"] > 10


def check_merged(record: dict[str, Any], server: Sink) -> None:
    sent = {fingerprint(message): server.messages.count(message) for message in server.messages}
    assert record["acknowledged"] == sent
    assert record["failed"] == {}
    unique = [message for message in server.messages if UNIQUE.match(message)]
    assert len(unique) == len(set(unique))
    names = {found[1] for found in map(UNIQUE.match, unique) if found}
    assert names <= {str(number) for number in range(20)} or names == {"open-0", "open-1"}
    assert len(names) > 1
    assert all(level["generator"]["cpu_share"] > 0 for level in record["levels"])
    assert sum(record["timeline"]["acknowledged"]) == server.count


def rates(progress: Path) -> list[int]:
    return [json.loads(line)["rate"] for line in progress.read_text().splitlines()]


def test_the_web_ui_starts_it_shows_it_and_stops_it(tmp_path: Path) -> None:
    record, progress, port = tmp_path / "record.json", tmp_path / "progress.jsonl", free_port()
    with (
        sink() as server,
        locust(
            tmp_path / "log",
            f"--host={server.url}",
            f"--web-port={port}",
            "--web-host=127.0.0.1",
            f"--record={record}",
            f"--progress={progress}",
            *SMOKE,
        ),
    ):
        wait_until(lambda: not is_free(port))
        ask(port, "swarm", user_count="1", spawn_rate="1")
        wait_until(lambda: ask(port, "stats/requests")["state"] == "stopped")
        shown = ask(port, "stats/requests")["stats"][-1]["num_requests"]
        assert shown == server.count == sum(json.loads(record.read_text())["acknowledged"].values())
        record.unlink()
        ask(port, "swarm", user_count="1", spawn_rate="1")
        wait_until(lambda: server.count > shown)
        ask(port, "stop", now="yes")  # in the warm-up
        wait_until(record.exists)
        found = json.loads(record.read_text())
        assert found["levels"] == []
        assert sum(found["acknowledged"].values()) == server.count - shown
        wait_until(lambda: sum(rates(progress)) == server.count)
        lines = rates(progress)
        time.sleep(1.5)  # nothing to wait for: no line more comes
        assert rates(progress) == lines


def ask(port: int, path: str, **form: str) -> Any:
    """Ask as the web UI's page does."""
    data = urllib.parse.urlencode(form).encode() if form else None
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", data, timeout=20) as answer:
        return json.loads(answer.read())
