"""Any requests on one connection, cut into any packets, are answered one by one and in order."""

import json
import socket
from dataclasses import dataclass
from itertools import pairwise

from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from async_dedup.framing import PIECE
from tests import client
from tests.client import head
from tests.contract.test_odd import ask, every_answer
from tests.contract.test_wire import CHUNKED, JSON, LAST_CHUNK, chunk

EDGES = (PIECE, 2 * PIECE, 65_536, 65_536 + PIECE, 131_072)
"""What the async twin parses at once, takes the short way with, and lets wait, and some sums of them."""
TWICE = ("X-Hop: a", "X-Hop: b")


@dataclass(frozen=True)
class Kind:
    """How a request is made, and what comes of it."""

    status: int
    headers: tuple[str, ...] = ()
    path: str = client.LOG
    chunked: bool = False


KINDS = {
    "event": Kind(200),
    "event, the long way": Kind(200, TWICE),
    "event, in chunks": Kind(200, chunked=True),
    "bad event": Kind(400),
    "bad event, the long way": Kind(400, TWICE),
    "bad event, in chunks": Kind(400, chunked=True),
    "unknown path": Kind(404, path="/nowhere"),
    "unknown path, in chunks": Kind(404, path="/nowhere", chunked=True),
}


def made(number: int, name: str, size: int) -> bytes:
    """A request of about `size` bytes, or as few as it can have; a bad event has its number as a field."""
    kind = KINDS[name]
    fields = {"message": "of a pipeline"} | ({f"field{number}": 1} if kind.status == 400 else {})
    length = f"Content-Length: {size:06}"  # as long as the one that counts
    body = json.dumps(fields).encode().ljust(size - len(head(JSON, length, *kind.headers, path=kind.path)))
    if kind.chunked:
        return head(JSON, CHUNKED, *kind.headers, path=kind.path) + chunk(body) + LAST_CHUNK
    return head(JSON, f"Content-Length: {len(body):06}", *kind.headers, path=kind.path) + body


def answers(url: str, sent: bytes, cuts: list[int]) -> list[tuple[int, str]]:
    """Each answer's status and the field that it names."""
    edges = sorted({0, len(sent), *(cut % len(sent) for cut in cuts)})
    with client.connect(url) as connection:
        for start, end in pairwise(edges):
            connection.sendall(sent[start:end])
            ask(url, head(method="GET", path=client.HEALTH))  # by now it has read the packet
        connection.shutdown(socket.SHUT_WR)
        said = [(status, json.loads(body)) for status, body in every_answer(connection)]
    return [(status, "".join(each["field"] for each in body.get("errors", ()))) for status, body in said]


SIZES = st.sampled_from([edge + more for edge in EDGES for more in (-1, 0, 1)]) | st.sampled_from(
    (0, 200, 20_000)
)
REQUESTS = st.lists(st.tuples(st.sampled_from(list(KINDS)), SIZES), min_size=1, max_size=6)
CUTS = st.lists(
    st.integers(0, 1_000_000) | st.sampled_from([edge + more for edge in EDGES for more in (-1, 0, 1)]),
    max_size=3,
)


# Not made smaller where it fails: a request that is never answered takes 20 s each time.
@settings(max_examples=60, phases=set(Phase) - {Phase.shrink})
@example([("event", 200), ("event", 20_000)], [])
@example([("bad event", 200), ("event", 20_000)], [20_000])
@example([("event", 200), ("event, the long way", 65_536), ("bad event", 65_536)], [])
@given(REQUESTS, CUTS)
def test_a_pipeline(naive_url: str, async_url: str, requests: list[tuple[str, int]], cuts: list[int]) -> None:
    sent = b"".join(made(number, *each) for number, each in enumerate(requests))
    expected = [
        (KINDS[name].status, f"field{number}" if KINDS[name].status == 400 else "")
        for number, (name, _) in enumerate(requests)
    ]
    assert answers(async_url, sent, cuts) == expected
    assert answers(naive_url, sent, cuts) == expected
