"""A client that can also misbehave: whole requests, and bytes on a bare socket."""

import json
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

from shared.listing import IssueView

LOG = "/api/v1/errors/log"
ERRORS = "/api/v1/errors"
HEALTH = "/api/v1/health"
READY = "/api/v1/ready"
METRICS = "/metrics"
JSON = {"Content-Type": "application/json"}
TIMEOUT = 20.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def send(
    url: str, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = JSON
) -> Answer:
    """One request on a connection of its own."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT)
    try:
        connection.request(method, path, body, dict(headers))
        return _answer(connection.getresponse())
    finally:
        connection.close()


def get(url: str, path: str) -> Answer:
    return send(url, "GET", path, headers={})


def post(url: str, body: bytes, headers: Mapping[str, str] = JSON) -> Answer:
    return send(url, "POST", LOG, body, headers)


def log(url: str, message: str, **fields: str | None) -> Answer:
    """Sends an event with its non-ASCII characters as UTF-8, not as escapes."""
    return post(url, json.dumps({"message": message, **fields}, ensure_ascii=False).encode())


def connect(url: str) -> socket.socket:
    """A bare socket that sends each piece at once."""
    address = urlsplit(url)
    connection = socket.create_connection((address.hostname, address.port), TIMEOUT)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def head(*headers: str, method: str = "POST", path: str = LOG) -> bytes:
    """The head of a request for a bare socket."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: twin", *headers, "\r\n"]).encode()


def receive(connection: socket.socket, method: str = "POST") -> Answer:
    """The next answer on a bare socket; raises http.client.RemoteDisconnected where none comes."""
    response = HTTPResponse(connection, method=method)
    response.begin()
    return _answer(response)


def is_closed(connection: socket.socket) -> bool:
    """Whether the server hangs up; waits for it."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def _answer(response: HTTPResponse) -> Answer:
    return Answer(response.status, response.headers, response.read())


def eventually(condition: Callable[[], bool], what: str, seconds: float = TIMEOUT) -> None:
    """Waits until `condition` holds; fails, and says what did not happen, where it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.02)


def issue(url: str, fingerprint: str) -> IssueView:
    """The issue, once MySQL has all of it: the async twin's row and count come a moment later."""
    answers: list[Answer] = []

    def settled() -> bool:
        answers.append(get(url, f"{ERRORS}/{fingerprint}"))
        return answers[-1].status == 200 and not answers[-1].json["data"].get("pending")

    eventually(settled, f"issue {fingerprint} is in MySQL")
    # Asked once more: a flush may have come after MySQL was read and before the buffer was.
    return IssueView.model_validate(get(url, f"{ERRORS}/{fingerprint}").json["data"])
