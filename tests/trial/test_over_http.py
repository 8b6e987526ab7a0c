"""A third implementation, for which the twins stand in: read through the contract alone."""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from loadtests.trial.generator import TrialFailed
from loadtests.trial.over_http import Listing, check_health
from shared.fingerprint import fingerprint
from tests import client
from tests.parts import wait_until


def test_only_what_came_since_is_counted(twin_url: str) -> None:
    before, new = f"seen before on {twin_url}", f"never seen before on {twin_url}"
    client.log(twin_url, before)
    wait_until(lambda: Listing(twin_url)._before[fingerprint(before)])
    listing = Listing(twin_url)
    assert (listing.total(), listing.counts()) == (0, {})
    for message in (before, new, new):
        assert client.log(twin_url, message).status == 200
    wait_until(lambda: listing.total() == 3)
    assert listing.counts() == {fingerprint(before): 1, fingerprint(new): 2}


def test_all_pages_are_read(twin_url: str) -> None:
    listing = Listing(twin_url)
    messages = [f"one of many on {twin_url}: {number}" for number in range(205)]
    for message in messages:
        client.log(twin_url, message)
    wait_until(lambda: listing.total() == len(messages))
    assert listing.counts() == {fingerprint(message): 1 for message in messages}


def test_nobody_there_is_told_before_anything_is_measured() -> None:
    with pytest.raises(TrialFailed, match=r"^http://127\.0\.0\.1:9/api/v1/health does not answer"):
        check_health("http://127.0.0.1:9")


@contextmanager
def server(status: int, body: bytes) -> Iterator[str]:
    """Answers every GET so."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (500, b"", "answered 500"),
        (200, b"<html>", "not an answer of the contract"),
        (200, b'{"issues": []}', "not an answer of the contract"),
        (200, json.dumps({"data": {"issues": [], "next_cursor": "a"}}).encode(), "does not end"),
        (200, json.dumps({"data": {"issues": [{}], "next_cursor": None}}).encode(), "not an answer"),
    ],
)
def test_an_answer_that_is_not_of_the_contract_is_told(status: int, body: bytes, why: str) -> None:
    with server(status, body) as url, pytest.raises(TrialFailed, match=why):
        Listing(url)
