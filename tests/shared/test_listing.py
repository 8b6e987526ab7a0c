"""`GET /api/v1/errors`: order, filter, paging, and what is not in MySQL yet."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from loadtests.stack import Stack
from shared.answer import iso
from shared.fingerprint import fingerprint
from tests import client

PAGED = 130
SERVICE = "paged"
START = datetime(2026, 1, 1, microsecond=1)
INSERT = (
    "INSERT INTO issues (fingerprint, service, message, times_seen, first_seen, last_seen)"
    " VALUES (%s, %s, %s, %s, %s, %s)"
)


def rows(count: int, service: str = SERVICE) -> Iterator[tuple[Any, ...]]:
    """Issues of which many have equal sort keys, in an order that none of them follows."""
    for number in range(count):
        message = f"paged {number * 7 % count}"
        first = START + timedelta(microseconds=number * 3 % 5)
        last = START + timedelta(days=1, microseconds=number * 5 % 11)
        yield fingerprint(message, service), service, message, number * 11 % 4, first, last


def insert(stack: Stack, *values: tuple[Any, ...]) -> None:
    with stack.mysql.connect() as connection, connection.cursor() as cursor:
        cursor.executemany(INSERT, values)


@pytest.fixture
def paged(stack: Stack, naive_url: str, async_url: str) -> None:
    """The twins create the tables."""
    stack.reset()
    insert(stack, *rows(PAGED))


def page(url: str, **query: str | int) -> Any:
    answer = client.get(url, f"{client.ERRORS}?{urlencode(query)}")
    assert answer.status == 200, answer.body
    return answer.json["data"]


def pages(url: str, **query: str | int) -> Iterator[list[Any]]:
    """Follows the cursors to the last page."""
    for _ in range(2 * PAGED):
        found = page(url, **query)
        yield found["issues"]
        if found["next_cursor"] is None:
            return
        query["cursor"] = found["next_cursor"]
    pytest.fail("the pages have no end")


@pytest.mark.parametrize("sort", ["times_seen", "last_seen", "first_seen"])
@pytest.mark.parametrize("limit", [1, 7, 65, 100])
def test_paging_shows_every_issue_once_in_order(paged: None, twin_url: str, sort: str, limit: int) -> None:
    found = list(pages(twin_url, service=SERVICE, sort=sort, limit=limit))
    assert [len(issues) for issues in found[:-1]] == [limit] * (len(found) - 1)
    assert 0 < len(found[-1]) <= limit
    issues = [issue for page_ in found for issue in page_]
    assert len(issues) == len({issue["fingerprint"] for issue in issues}) == PAGED
    keys = [issue[sort] for issue in issues]
    assert keys == sorted(keys, reverse=True)
    assert len(set(keys)) < PAGED / 10  # else nothing was shown about equal keys


def test_issues_that_come_while_someone_pages_disturb_nothing(stack: Stack, twin_url: str) -> None:
    stack.reset()
    insert(stack, *rows(30))
    seen = []
    for number, issues in enumerate(pages(twin_url, service=SERVICE, limit=4)):
        seen += [issue["fingerprint"] for issue in issues]
        newest = START + timedelta(days=2, seconds=number)
        insert(stack, (fingerprint(f"new {number}"), SERVICE, f"new {number}", 1, newest, newest))
    assert len(seen) == len(set(seen)) == 30


def test_twenty_by_default_the_last_seen_first(paged: None, twin_url: str) -> None:
    assert page(twin_url) == page(twin_url, sort="last_seen", limit=20)
    assert len(page(twin_url)["issues"]) == 20


def test_an_issue_shows_what_mysql_holds(paged: None, twin_url: str) -> None:
    found = {issue["fingerprint"]: issue for page_ in pages(twin_url, limit=100) for issue in page_}
    for key, service, message, times_seen, first_seen, last_seen in rows(PAGED):
        shown = {"fingerprint": key, "service": service, "message": message, "stackTrace": None}
        shown |= {"times_seen": times_seen, "first_seen": iso(first_seen), "last_seen": iso(last_seen)}
        assert shown.items() <= found[key].items()


def test_both_twins_read_the_same(paged: None, naive_url: str, async_url: str) -> None:
    for naive, async_ in zip(pages(naive_url, limit=50), pages(async_url, limit=50), strict=True):
        assert [{**issue, "pending": 0} for issue in naive] == async_


@pytest.mark.parametrize("service", ["a", "a ", "A", "\u00e4", "a%", "a_", "'", "a&b", "+", "\U0001f525"])
def test_only_the_service_that_was_asked_for(stack: Stack, twin_url: str, service: str) -> None:
    """MySQL's comparisons ignore trailing spaces, and by default case and accents."""
    stack.reset()
    for each in {"a", "a ", "a  ", "A", "\u00e4", "ab", "abc", service}:
        insert(stack, (fingerprint("m", each), each, "m", 1, START, START))
    found = client.get(twin_url, f"{client.ERRORS}?service={quote(service)}").json["data"]
    assert [issue["service"] for issue in found["issues"]] == [service]


def test_a_service_without_issues_is_an_empty_page(twin_url: str) -> None:
    assert page(twin_url, service="nobody") == {"issues": [], "next_cursor": None}


def test_a_page_that_is_exactly_full_is_the_last(stack: Stack, twin_url: str) -> None:
    stack.reset()
    insert(stack, *rows(10))
    assert page(twin_url, limit=10)["next_cursor"] is None
    assert page(twin_url, limit=9)["next_cursor"] is not None


def test_a_count_without_its_message_is_not_shown_yet(stack: Stack, twin_url: str) -> None:
    """A flush that came before the digest; it may be a moment old, or wait for a worker."""
    stack.reset()
    key = fingerprint("still unknown")
    insert(stack, (key, "", "", 3, START, START))
    assert page(twin_url)["issues"] == []
    assert client.get(twin_url, f"{client.ERRORS}/{key}").status == 404


def test_pending_is_what_mysql_does_not_have_yet(stack: Stack, async_url: str) -> None:
    stack.reset()
    message, key = "pending", fingerprint("pending")
    stack.stop("scheduler")
    assert client.log(async_url, message).status == 200
    client.eventually(
        lambda: client.get(async_url, f"{client.ERRORS}/{key}").status == 200,
        "the worker digests without flushes",
    )
    for _ in range(2):
        assert client.log(async_url, message).status == 200
    before = client.get(async_url, f"{client.ERRORS}/{key}").json["data"]
    listed = page(async_url)["issues"]
    stack.start("scheduler")
    after = client.issue(async_url, key)
    assert (before["times_seen"], before["pending"]) == (1, 2)
    assert listed == [before]
    assert (after.times_seen, after.pending) == (3, 0)
