"""A request is whole with its last byte and not before, however it is cut; what is refused is at once."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naive_sync.arrival import Arrival
from shared.event import MAX_BODY
from shared.head import MAX_HEAD
from tests.client import head

CHUNKED = "Transfer-Encoding: chunked"
WHOLE = [
    head("Content-Length: 9") + b'{"a": "b"}'[:9],
    head("content-length:   009  ") + b"123456789",
    head("Transfer-Encoding: \t chunked \t ", "Expect: \t 100-continue \t ") + b"0\r\n\r\n",
    head(CHUNKED) + b"5\r\n12345\r\n0\r\n\r\n",
    head(CHUNKED) + b"5;ext=1\r\n12345\r\n00000000000000000A\r\n\r\n0\r\n\r\n012\r\n0\r\nX: y\r\n\r\n",
    b"\r\n\n" + head("Content-Length: 4") + b"\n\r\n\n",
    b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    head("Content-Length: 2", "Expect: 100-continue") + b"{}",
]
"""Each ends with its last byte."""
REFUSED = [
    b"GET / HTTP/1.1\nHost: here",
    b"GET / HTTP/1.1\r\n\r\n",
    b"garbage",
    b"PROPFIND",
    b"\0",
    b"GET / HTTP/9.9\r\n",
    b"GET /\r\n",
    b"BREW / HTTP/1.1\r\n",
    head("Content-Length: x"),
    head("Content-Length: 5", CHUNKED),
    head("Content-Length: 5", "Content-Length: 5"),
    head(CHUNKED, CHUNKED),
    head("Transfer-Encoding: chunkedx"),
    head(CHUNKED).replace(b"HTTP/1.1", b"HTTP/1.0"),
    head("Expect: something"),
    head(f"Content-Length: {MAX_BODY + 1}"),
    head("Content-Length: " + "9" * 5_000),
    head("X: " + "x" * MAX_HEAD),
    b"x" * (MAX_HEAD + 1),
    head(CHUNKED) + b"no size\r\n",
    head(CHUNKED) + b"2\r\n{}xy",
    head(CHUNKED) + b"40001\r\n" + b"x" * (MAX_BODY + 1),
    head(CHUNKED) + (b"10000\r\n" + b"x" * 65_536 + b"\r\n") * 5,
    head(CHUNKED) + b"0\r\n" + b"x" * (MAX_HEAD + 1),
    head(CHUNKED) + b"5;" + b"x" * MAX_HEAD,
    head(CHUNKED) + b"1" + b"0" * 16 + b"\r\n",
    head(CHUNKED) + b"5 \r\n",
    head(f"Content-Length: {2**64}"),
    head(f"Content-Length: {2**64 - 1}"),
    head(f"Content-Length: {5:021}"),
    head("Content-Length: 5\r"),
    head("Transfer-Encoding: chunked\r"),
    head("Expect: 100-continue", "Expect: something"),
    head("Expect: a" + " " * 16_000 + "b"),
]


def pieces(request: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(request), *(cut % len(request) for cut in cuts)})
    return [request[start:end] for start, end in pairwise(edges)]


@given(st.sampled_from(WHOLE), st.lists(st.integers(0, 1_000), max_size=20))
def test_it_is_whole_with_its_last_byte(request: bytes, cuts: list[int]) -> None:
    arrival = Arrival()
    told = [arrival.add(piece) for piece in pieces(request, cuts)]
    assert told == [False] * (len(told) - 1) + [True]
    assert bytes(arrival.data) == request


@pytest.mark.parametrize("request_", WHOLE)
def test_byte_by_byte(request_: bytes) -> None:
    arrival = Arrival()
    told = [arrival.add(request_[at : at + 1]) for at in range(len(request_))]
    assert told == [False] * (len(told) - 1) + [True]


@pytest.mark.parametrize("request_", REFUSED)
@pytest.mark.parametrize("size", [1, 100_000])
def test_what_is_refused_is_not_waited_for(request_: bytes, size: int) -> None:
    arrival = Arrival()
    assert any(arrival.add(request_[at : at + size]) for at in range(0, len(request_), size))


def test_the_end_of_a_connection_is_not_waited_for() -> None:
    assert Arrival().add(b"")


def test_who_asks_first_and_who_announces_too_much_are_known_by_their_head() -> None:
    polite, huge, largest = Arrival(), Arrival(), Arrival()
    assert not polite.add(head("Content-Length: 9", "Expect: 100-Continue"))
    assert (polite.asks_first, polite.is_too_long) == (True, False)
    assert huge.add(head("Content-Length: 300000", "Expect: 100-continue"))
    assert (huge.asks_first, huge.is_too_long) == (False, True)
    assert largest.add(head(f"Content-Length: {2**64 - 1}"))
    assert largest.is_too_long


@pytest.mark.parametrize(("data", "has_begun"), [(b"", False), (b"\r\n\n", False), (b"\r\nG", True)])
def test_an_empty_line_is_no_begin(data: bytes, has_begun: bool) -> None:
    arrival = Arrival()
    arrival.add(data)
    assert arrival.has_begun is has_begun
