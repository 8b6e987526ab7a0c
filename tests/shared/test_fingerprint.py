"""Which events are one issue, and that each of them is counted."""

import re
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.fingerprint import PATTERN, fingerprint
from tests import client

KEPT_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
"""What an event can hold: neither NUL nor surrogates."""


@given(KEPT_TEXT)
def test_the_default_service_is_sha256_of_the_message(message: str) -> None:
    assert fingerprint(message) == sha256(message.encode()).hexdigest()
    assert fingerprint(message, "default") == fingerprint(message)


def test_it_is_the_one_that_other_programs_compute() -> None:
    """Written down, so that a change of the key shows: `printf 'disk full' | sha256sum`."""
    assert fingerprint("disk full") == "8c96d76f620269be0f4cbc27e6cb594426729e32474260ef82eb6fc24b2cba2f"


@given(KEPT_TEXT, KEPT_TEXT, KEPT_TEXT, KEPT_TEXT)
def test_only_the_same_message_and_service_are_one_issue(
    a: str, service_a: str, b: str, service_b: str
) -> None:
    same = (a, service_a) == (b, service_b)
    assert (fingerprint(a, service_a) == fingerprint(b, service_b)) is same


def test_text_does_not_move_between_service_and_message() -> None:
    assert fingerprint("bc", "a") != fingerprint("c", "ab")
    assert fingerprint("a b", "c") != fingerprint("b", "c a")


@given(KEPT_TEXT, KEPT_TEXT)
def test_it_is_64_hexadecimal_digits(message: str, service: str) -> None:
    assert re.fullmatch(PATTERN, fingerprint(message, service))


@pytest.mark.parametrize("times", [1, 2, 25])
def test_equal_events_are_one_issue_and_each_counts(twin_url: str, times: int) -> None:
    message = f"seen {times} times by {twin_url}"
    for number in range(times):
        assert client.log(twin_url, message, stackTrace=f"at line {number}").status == 200
    issue = client.issue(twin_url, fingerprint(message))
    assert issue.times_seen == times
    assert issue.stackTrace == "at line 0"
    assert issue.first_seen <= issue.last_seen


def test_another_service_is_another_issue(twin_url: str) -> None:
    message = f"in two services of {twin_url}"
    for service in ("default", "shop", "shop"):
        assert client.log(twin_url, message, service=service).status == 200
    for service, times in (("default", 1), ("shop", 2)):
        issue = client.issue(twin_url, fingerprint(message, service))
        assert (issue.service, issue.times_seen) == (service, times)


def test_spaces_and_case_make_another_issue(twin_url: str) -> None:
    """MySQL's comparisons know neither by default."""
    for message in ("Disk", "disk", "disk ", " disk", "d\u00efsk"):
        assert client.log(twin_url, message, service=twin_url).status == 200
    for message in ("Disk", "disk", "disk ", " disk", "d\u00efsk"):
        issue = client.issue(twin_url, fingerprint(message, twin_url))
        assert (issue.message, issue.times_seen) == (message, 1)
