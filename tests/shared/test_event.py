"""Parsing an event: what only a close look at `shared.event` shows; the rest is in the contract's tests."""

import json
import re
import tracemalloc
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from loadtests.trial.cases import BAD_EVENTS, BAD_MEDIA_TYPES, GOOD_MEDIA_TYPES
from shared.answer import Refused
from shared.event import (
    MAX_BODY,
    MAX_PROBLEMS,
    MAX_STACK_TRACE,
    Event,
    check_head,
    cut_in_the_middle,
    parse,
    problems,
)

MARK = re.compile(r"\n\.\.\. (\d+) bytes cut \.\.\.\n")
LONG = st.builds(
    lambda unit, size, offset: "." * offset + unit * (size // len(unit.encode())),
    st.text(min_size=1, max_size=8),
    st.integers(MAX_STACK_TRACE - 50, 4 * MAX_STACK_TRACE),
    st.integers(0, 4),
)


def test_the_fields_of_an_event() -> None:
    event = parse(b'{"message": "m", "stackTrace": "s", "service": "a"}')
    assert (event.message, event.stack_trace, event.service) == ("m", "s", "a")


def test_what_is_left_out() -> None:
    event = parse(b'{"message": "m"}')
    assert (event.stack_trace, event.service) == (None, "default")


def test_of_a_repeated_field_the_last_counts() -> None:
    assert parse(b'{"message": "first", "message": "last"}').message == "last"


@pytest.mark.parametrize(("body", "field"), BAD_EVENTS.values(), ids=BAD_EVENTS)
def test_a_bad_event_is_refused(body: bytes, field: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(body)
    assert refused.value.status == 400
    assert [problem.field for problem in refused.value.errors] == [field]


def test_the_reasons_are_limited_in_number_and_length() -> None:
    body = json.dumps({f"{number}{'x' * 1_000}": 1 for number in range(1_000)}).encode()
    with pytest.raises(Refused) as refused:
        parse(body)
    assert len(refused.value.errors) == MAX_PROBLEMS
    assert max(len(problem.field) for problem in refused.value.errors) == 64


def listed(body: bytes) -> list[tuple[str, str]]:
    """All that pydantic has to say of it, as far as an answer names it."""
    with pytest.raises(ValidationError) as error:
        Event.model_validate_json(body)
    return [(problem.field, problem.reason) for problem in problems(error.value)]


OWN = st.fixed_dictionaries(
    {},
    optional={
        name: st.none() | st.integers() | st.floats() | st.sampled_from(["", "a", "\0", "x" * 501])
        for name in ("message", "stackTrace", "service", "", "stack_trace")
    },
)


@given(OWN, st.integers(1, 300), st.booleans())
def test_of_many_unknown_fields_the_same_are_named(own: dict[str, Any], more: int, are_last: bool) -> None:
    unknown = {f"field{number}": number for number in range(more)}
    body = json.dumps(own | unknown if are_last else unknown | own).encode()
    with pytest.raises(Refused) as refused:
        parse(body)
    assert [(problem.field, problem.reason) for problem in refused.value.errors] == listed(body)


def test_unknown_fields_without_end_are_not_all_listed() -> None:
    """To list them takes 20 MB, and 45 ms of the event loop."""
    body = b"{%b}" % b",".join(b'"%x":1' % number for number in range(0x1000, 0x8000))
    assert len(body) < MAX_BODY
    tracemalloc.start()
    with pytest.raises(Refused):
        parse(body)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 8_000_000


@given(st.binary() | st.text().map(lambda text: json.dumps({"message": text}).encode()))
def test_any_bytes_are_an_event_or_refused(body: bytes) -> None:
    with suppress(Refused):
        assert 1 <= len(parse(body).message) <= 500


@given(LONG)
def test_a_cut_stack_trace_keeps_both_ends_and_says_how_much_is_gone(trace: str) -> None:
    cut = cut_in_the_middle(trace)
    if len(trace.encode()) <= MAX_STACK_TRACE:
        assert cut == trace
        return
    assert MAX_STACK_TRACE - 100 < len(cut.encode()) <= MAX_STACK_TRACE
    marks = list(MARK.finditer(cut))
    start, end = cut[: marks[0].start()], cut[marks[-1].end() :]
    assert trace.startswith(start)
    assert trace.endswith(end)
    assert len(start.encode()) + int(marks[0][1]) + len(end.encode()) == len(trace.encode())


@pytest.mark.parametrize("size", [0, 1, MAX_STACK_TRACE - 1, MAX_STACK_TRACE])
def test_up_to_64_kib_nothing_is_cut(size: int) -> None:
    assert cut_in_the_middle("a" * size) == "a" * size


def test_above_64_kib_something_is() -> None:
    assert len(MARK.findall(cut_in_the_middle("a" * (MAX_STACK_TRACE + 1)))) == 1


@pytest.mark.parametrize("media_type", GOOD_MEDIA_TYPES)
def test_json_in_utf_8_passes(media_type: str) -> None:
    check_head(media_type, str(MAX_BODY))


@pytest.mark.parametrize("media_type", BAD_MEDIA_TYPES)
def test_another_media_type_does_not(media_type: str | None) -> None:
    with pytest.raises(Refused) as refused:
        check_head(media_type, "2")
    assert refused.value.status == 415


def test_a_body_announced_too_large_does_not_pass() -> None:
    with pytest.raises(Refused) as refused:
        check_head("application/json", str(MAX_BODY + 1))
    assert refused.value.status == 413


@pytest.mark.parametrize("length", ["", "x", "-1", "\xb2", "0" * 5_000, "9" * 5_000])
def test_a_length_that_is_none_is_not_told_here(length: str) -> None:
    """Whoever reads the body counts it."""
    check_head("application/json", length)
