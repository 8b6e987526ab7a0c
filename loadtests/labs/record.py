"""`python -m loadtests.labs.record`: has each incident happen to both twins under load, keeps their metrics.

It writes `incidents/`, which lab 9 shows; `--cause scheduler` for one. To be run again where a metric has
changed, on a machine that does nothing else: it takes two minutes for each.
"""

import argparse
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from http.client import HTTPConnection
from itertools import repeat
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from loadtests.labs.causes import CAUSES
from loadtests.labs.recording import FOLDER, Recording, write
from loadtests.labs.scraping import in_series, scraping
from loadtests.live.sampler import EVERY
from loadtests.load import workload
from loadtests.load.at_once import PATIENCE, post
from loadtests.load.subjects import TWINS
from loadtests.stack import ROLES_OF, Stack, StackError, process
from loadtests.stack.observers import targets
from loadtests.stack.place import run_folder
from loadtests.stack.process import interrupted_by_signals
from loadtests.stack.proxy import Proxy, Trouble
from shared.event import Event
from shared.settings import load, variable

WARM_UP, BEFORE, DURING, AFTER = 10.0, 24.0, 36.0, 20.0
"""Seconds."""
CLIENTS, THINK = 40, 0.4
"""Of each twin, and the mean of seconds that each thinks: 100 events a second, which both bear well."""
CROWD = 3 * CLIENTS
NO_PAUSE = 0.005
FAR = Trouble(delay=0.05)
LOCKED_ROWS = 100
HOGS = 4 * (os.cpu_count() or 1)
Events = Iterable[tuple[str, float]]
"""What one client sends, and how many seconds it thinks before each."""
Incident = Callable[[Stack, Proxy], AbstractContextManager[object]]


def killed(role: str) -> Incident:
    @contextmanager
    def hold(stack: Stack, _: Proxy) -> Iterator[None]:
        stack.kill(role)
        yield
        stack.start(role)

    return hold


def far(_: Stack, proxy: Proxy) -> AbstractContextManager[None]:
    return proxy.troubled(FAR)


@contextmanager
def rows_locked(stack: Stack, _: Proxy) -> Iterator[None]:
    """Of the errors that come most often."""
    with stack.mysql.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id FROM issues ORDER BY times_seen DESC LIMIT %s", (LOCKED_ROWS,))
        ids = [number for (number,) in cursor.fetchall()]
        connection.begin()
        cursor.execute("SELECT id FROM issues WHERE id IN %s FOR UPDATE", (ids,))
        yield
        connection.rollback()


@contextmanager
def crowd(stack: Stack, _: Proxy) -> Iterator[None]:
    with ExitStack() as more:
        for twin in TWINS:
            more.enter_context(sending(stack.base_url(twin), CROWD, usual(twin, "crowd ")))
        yield


@contextmanager
def new_messages(stack: Stack, _: Proxy) -> Iterator[None]:
    def events(_: int) -> Events:
        return ((f"session {uuid4().hex} has expired", think) for think in repeat(NO_PAUSE))

    with ExitStack() as more:
        for twin in TWINS:
            more.enter_context(sending(stack.base_url(twin), 1, events))
        yield


@contextmanager
def cpu_taken(stack: Stack, _: Proxy) -> Iterator[None]:
    with ExitStack() as end:
        for _hog in range(HOGS):
            command = [sys.executable, "-c", "while True: pass"]
            hog = process.spawn(command, stack.log_path("hog"), stack.environment(), None)
            end.callback(process.kill, hog)
        yield


HOLDS: dict[str, Incident] = {
    "scheduler": killed("scheduler"),
    "worker": killed("worker"),
    "mysql": killed("mysql"),
    "redis": killed("redis"),
    "slow": far,
    "lock": rows_locked,
    "crowd": crowd,
    "new-messages": new_messages,
    "cpu": cpu_taken,
}
"""By the names of `causes.CAUSES`."""
BEHIND_PROXY = "slow"
"""Alone: a relay in Python costs time even where it delays nothing."""


def record(stack: Stack, cause: str) -> Recording:
    """Needs MySQL and Redis, and leaves no twin running. Raises StackError."""
    stack.reset()
    proxy = Proxy(stack.settings.mysql_port)
    own = {variable("mysql_port"): str(proxy.port)} if cause == BEHIND_PROXY else {}
    with ExitStack() as end:
        end.callback(proxy.close)
        for twin in TWINS:
            end.callback(stack.stop_twin, twin)
            stack.start(*ROLES_OF[twin], more=dict.fromkeys(ROLES_OF[twin], own))
        for twin in TWINS:
            end.enter_context(sending(stack.base_url(twin), CLIENTS, usual(twin, "client ")))
        time.sleep(WARM_UP)
        scraper = end.enter_context(scraping(targets(stack.settings, {}), EVERY))
        time.sleep(BEFORE)
        began = scraper.now()
        with HOLDS[cause](stack, proxy):
            time.sleep(DURING)
        ended = scraper.now()
        time.sleep(AFTER)
    series = {job: in_series(answers) for job, answers in scraper.answers.items()}
    return Recording(cause, scraper.at, began, ended, stack.settings.flush_interval, series)


def usual(twin: str, who: str) -> Callable[[int], Events]:
    """The profile's mix: seven in ten from a pool, the twins' own, so that they share no row."""
    seed = 1 + TWINS.index(twin)

    def events(number: int) -> Events:
        name = f"{who}{number}"
        drawn = zip(workload.events(seed, name), workload.think_times(seed, name, THINK), strict=False)
        return ((event.message, think) for event, think in drawn)

    return events


@contextmanager
def sending(url: str, clients: int, events: Callable[[int], Events]) -> Iterator[None]:
    """`events` are a client's by its number; each waits for its answer, and thinks."""
    end = threading.Event()

    def client(number: int) -> None:
        connection = HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
        for message, think in events(number):
            if end.wait(think):
                break
            post(connection, Event(message=message))
        connection.close()

    with ThreadPoolExecutor(clients) as pool:
        for number in range(clients):
            pool.submit(client, number)
        try:
            yield
        finally:
            end.set()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="record")
    parser.add_argument("--cause", action="append", choices=CAUSES, help="which one; without it, all")
    parser.add_argument("--run-dir", type=Path, default=run_folder(), help="folder for data and logs")
    options = parser.parse_args(arguments)
    try:
        with interrupted_by_signals(), Stack(options.run_dir, load()) as stack:
            stack.start("mysql", "redis")
            for cause in options.cause or CAUSES:
                print(f"{cause}: {CAUSES[cause].about}", flush=True)
                write(record(stack, cause), FOLDER / f"{cause}.json")
    except StackError as error:
        print(f"record: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
