"""The same bad input gets the same answer from both twins, byte for byte but for the timestamp."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.trial.cases import (
    BAD_EVENTS,
    BAD_MEDIA_TYPES,
    BAD_QUERIES,
    TOO_LARGE,
    UNKNOWN_PATHS,
    WRONG_METHODS,
)
from tests import client

NOWHERE = f"{client.ERRORS}/{'0' * 64}"


def without_timestamp(answer: client.Answer) -> tuple[int, str, set[str], bytes]:
    body = re.sub(rb'"timestamp":"[^"]*"}$', b"", answer.body)
    allowed = set(answer.headers.get("Allow", "").split(", "))
    return answer.status, answer.headers["Content-Type"], allowed, body


def check_alike(first: client.Answer, second: client.Answer) -> None:
    assert without_timestamp(first) == without_timestamp(second)


@pytest.mark.parametrize("body", [body for body, _ in BAD_EVENTS.values()] + [TOO_LARGE])
def test_bad_events(naive_url: str, async_url: str, body: bytes) -> None:
    check_alike(client.post(naive_url, body), client.post(async_url, body))


@pytest.mark.parametrize("media_type", BAD_MEDIA_TYPES)
def test_bad_media_types(naive_url: str, async_url: str, media_type: str | None) -> None:
    headers = {} if media_type is None else {"Content-Type": media_type}
    check_alike(client.post(naive_url, TOO_LARGE, headers), client.post(async_url, TOO_LARGE, headers))


@pytest.mark.parametrize(
    "path", [*UNKNOWN_PATHS, NOWHERE, *(f"{client.ERRORS}?{bad}" for bad in BAD_QUERIES)]
)
def test_bad_paths_and_queries(naive_url: str, async_url: str, path: str) -> None:
    check_alike(client.get(naive_url, path), client.get(async_url, path))


@pytest.mark.parametrize(("path", "method", "_"), WRONG_METHODS)
def test_wrong_methods(naive_url: str, async_url: str, path: str, method: str, _: set[str]) -> None:
    check_alike(client.send(naive_url, method, path), client.send(async_url, method, path))


HOSTILE_TEXT = st.text() | st.sampled_from(
    ["message", "stackTrace", "service", "\0", "\ud800", "\udfff", "x" * 65, "x" * 501, "__class__", "$ref"]
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | HOSTILE_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(HOSTILE_TEXT, inner, max_size=4),
    max_leaves=12,
)
EVENTS = st.fixed_dictionaries(
    {"message": HOSTILE_TEXT | JSON_VALUES},
    optional={"stackTrace": JSON_VALUES, "service": HOSTILE_TEXT | JSON_VALUES, "other": JSON_VALUES},
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """JSON with some of its bytes replaced, left out or added."""
    body = json.dumps(draw(EVENTS)).encode()
    start = draw(st.integers(0, len(body)))
    end = draw(st.integers(start, min(len(body), start + 4)))
    return body[:start] + draw(st.binary(max_size=4)) + body[end:]


HOSTILE_BODIES = (
    st.binary(max_size=200)
    | st.builds(lambda value: json.dumps(value).encode(), JSON_VALUES | EVENTS)
    | st.builds(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"), EVENTS)
    | damaged()
)


@settings(max_examples=300)
@given(HOSTILE_BODIES)
def test_hostile_bodies(naive_url: str, async_url: str, body: bytes) -> None:
    naive, async_ = client.post(naive_url, body), client.post(async_url, body)
    assert {naive.status, async_.status} <= {200, 400}
    if naive.status == 200:
        assert (naive.json["data"]["status"], async_.json["data"]["status"]) == ("saved", "queued")
    else:
        check_alike(naive, async_)


@settings(max_examples=100)
@given(
    st.dictionaries(
        st.sampled_from(["service", "sort", "limit", "cursor", "other"]),
        st.text("0123456789-.%&=+;_ abcdefAZ\xff\u20ac", max_size=80) | st.sampled_from(["last_seen", "5"]),
        max_size=4,
    )
)
def test_hostile_queries(naive_url: str, async_url: str, parameters: dict[str, str]) -> None:
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    path = f"{client.ERRORS}?" + "".join(
        c if c.isascii() and c != " " else "".join(f"%{b:02x}" for b in c.encode()) for c in query
    )
    naive, async_ = client.get(naive_url, path), client.get(async_url, path)
    assert {naive.status, async_.status} <= {200, 400}
    if naive.status == 200:
        assert async_.status == 200
    else:
        check_alike(naive, async_)
