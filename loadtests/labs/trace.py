"""What MySQL and Redis were asked while one event went through a twin, and when."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from threading import Event as Flag
from threading import Thread
from typing import Any

import pymysql
from typing_extensions import TypedDict

from async_dedup.buffer import Buffer
from loadtests.stack import Stack, StackError
from shared.event import PATH, Event

LONGEST = 60
"""Characters of a statement that are shown."""
NOT_OF_THE_EVENT = ("SET ", "TRUNCATE ")
"""The log's own, and what a connection begins with: the twins are warm, so it is one in the background."""
SCRIPT = "EVALSHA"
"""What an event asks of Redis. All else that is no script's own call is a scrape's, or another process's."""
LISTENING_SECONDS = 10.0
"""Until Redis has to have begun to tell."""


class Step(TypedDict):
    at: float
    """Milliseconds since the client sent the event."""
    who: str
    """"client", "MySQL" or "Redis"."""
    what: str


class Trace(TypedDict):
    steps: list[Step]
    answered: float
    """Milliseconds until the client had its answer."""


def trace(stack: Stack, url: str, message: str, follow_seconds: float) -> Trace:
    """Send one event, and return what it led to until so many seconds after its answer."""
    connection = HTTPConnection(url.removeprefix("http://"), timeout=30)
    connection.connect()
    with _general_log(stack) as statements, _monitor(stack) as commands:
        sent = time.time()
        _report(connection, message)
        answered = time.time()
        time.sleep(follow_seconds)
        found = [("MySQL", at, what) for at, what in statements()]
    connection.close()
    found += [("Redis", at, what) for at, what in commands]
    steps: list[Step] = [
        {"at": 1_000 * (at - sent), "who": who, "what": what}
        for who, at, what in found
        if sent <= at <= answered + follow_seconds
    ]
    return {"steps": sorted(steps, key=lambda step: step["at"]), "answered": 1_000 * (answered - sent)}


def send(url: str, message: str) -> int:
    """Send one event; return the status of its answer."""
    connection = HTTPConnection(url.removeprefix("http://"), timeout=30)
    try:
        return _report(connection, message)
    finally:
        connection.close()


def _report(connection: HTTPConnection, message: str) -> int:
    body = Event(message=message).model_dump_json(by_alias=True)
    connection.request("POST", PATH, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    return answer.status


@contextmanager
def _general_log(stack: Stack) -> Iterator[Any]:
    """MySQL's own log of every statement, with microseconds, in its table."""
    connection = pymysql.connect(unix_socket=str(stack.mysql.socket), user="root", autocommit=True)
    with connection, connection.cursor() as cursor:
        cursor.execute("SET GLOBAL log_output = 'TABLE'")
        cursor.execute("SET GLOBAL general_log = 'OFF'")
        cursor.execute("TRUNCATE TABLE mysql.general_log")
        cursor.execute("SET GLOBAL general_log = 'ON'")

        def statements() -> list[tuple[float, str]]:
            cursor.execute("SET GLOBAL general_log = 'OFF'")
            cursor.execute(
                "SELECT UNIX_TIMESTAMP(event_time), CONVERT(argument USING utf8mb4) FROM mysql.general_log "
                "WHERE command_type IN ('Query', 'Execute') ORDER BY event_time"
            )
            return [
                (float(at), " ".join(str(what).split())[:LONGEST])
                for at, what in cursor.fetchall()
                if not str(what).startswith(NOT_OF_THE_EVENT)
            ]

        try:
            yield statements
        finally:
            cursor.execute("SET GLOBAL general_log = 'OFF'")


@contextmanager
def _monitor(stack: Stack) -> Iterator[list[tuple[float, str]]]:
    """Redis's MONITOR, without what no event asks; the list is whole at the end of the block."""
    heard: list[tuple[float, str]] = []
    listening, end = Flag(), Flag()
    redis = Buffer(stack.settings).redis

    def listen() -> None:
        with redis.monitor() as monitor:
            monitor.connection._sock.settimeout(0.2)
            listening.set()
            while not end.is_set():
                try:
                    command = monitor.next_command()
                except Exception:  # noqa: BLE001, S112 - nothing was said for a while
                    continue
                if command["client_type"] == "lua" or command["command"].startswith(SCRIPT):
                    heard.append((float(command["time"]), str(command["command"])[:LONGEST]))

    thread = Thread(target=listen, daemon=True)
    thread.start()
    try:
        if not listening.wait(LISTENING_SECONDS):
            raise StackError("Redis does not answer to MONITOR")
        yield heard
    finally:
        end.set()
        thread.join(2)
