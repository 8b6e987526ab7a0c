"""`POST /api/v1/errors/log`: what is kept, and what is refused with which answer."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from loadtests.stack import Stack
from loadtests.trial.cases import BAD_EVENTS, BAD_MEDIA_TYPES, GOOD_MEDIA_TYPES, LARGEST, TOO_LARGE
from shared.answer import Acknowledged, Failure, Success
from shared.event import MAX_BODY, MAX_STACK_TRACE
from shared.fingerprint import fingerprint
from tests import client

EVENT = b'{"message": "the contract"}'
PLANES = "".join(chr(plane << 16 | 0xABCD) for plane in range(17))
"""A code point of every Unicode plane."""
EDGES = "\x01\x1f \x7f\u0080\u07ff\u0800\ud7ff\ue000\ufffd\ufffe\uffff\U00010000\U0010ffff"
"""Where UTF-8 changes its length, and what many parsers trip over."""

GOOD_EVENTS: dict[str, dict[str, str | None]] = {
    "shortest": {"message": "m"},
    "longest": {"message": "m" * 500, "service": "s" * 64},
    "longest of four bytes each": {"message": "\U0001f525" * 500, "service": "\U0001f525" * 64},
    "every plane": {"message": PLANES, "stackTrace": PLANES, "service": PLANES},
    "edges": {"message": EDGES, "stackTrace": EDGES, "service": EDGES},
    "combined characters, as they came": {"message": "e\u0301 \u00e9"},
    "only a space": {"message": " ", "service": " "},
    "spaces around": {"message": " m ", "stackTrace": " s ", "service": " s "},
    "no stack trace": {"message": "stack trace null", "stackTrace": None},
    "empty stack trace": {"message": "stack trace empty", "stackTrace": ""},
    "default service by its name": {"message": "by its name", "service": "default"},
    "SQL": {"message": "'; DROP TABLE issues; -- %s %(a)s :b \\", "service": "%s"},
}


def check_failure(answer: client.Answer, status: int) -> Failure:
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == "application/json"
    assert list(answer.json) == ["success", "statusCode", "message", "errors", "timestamp"]
    failure = Failure.model_validate_json(answer.body, strict=True)
    assert not failure.success
    assert failure.statusCode == status
    check_timestamp(failure.timestamp)
    return failure


def check_timestamp(timestamp: str) -> None:
    """ISO 8601, UTC, and now: all processes here have one clock."""
    assert timestamp.endswith("Z")
    assert abs(datetime.fromisoformat(timestamp) - datetime.now(UTC)) < timedelta(minutes=1)


def test_an_event_is_acknowledged(twin_url: str, async_url: str) -> None:
    answer = client.post(twin_url, EVENT)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert list(answer.json) == ["success", "data", "timestamp"]
    assert answer.json["success"] is True
    assert answer.json["data"] == {"status": "queued" if twin_url == async_url else "saved"}
    check_timestamp(Success[Acknowledged].model_validate_json(answer.body, strict=True).timestamp)


@pytest.mark.parametrize("escaped", [True, False], ids=["escaped", "UTF-8"])
def test_what_is_kept_reads_back_as_it_was_sent(stack: Stack, twin_url: str, escaped: bool) -> None:
    stack.reset()  # the twins share their tables, and the other one may have kept it before
    for name, fields in GOOD_EVENTS.items():
        answer = client.post(twin_url, json.dumps(fields, ensure_ascii=escaped).encode())
        assert answer.status == 200, name
    for name, fields in GOOD_EVENTS.items():
        message, service = str(fields["message"]), fields.get("service") or "default"
        issue = client.issue(twin_url, fingerprint(message, service))
        assert (issue.message, issue.service) == (message, service), name
        assert (issue.stackTrace, issue.times_seen) == (fields.get("stackTrace"), 1), name
        check_timestamp(issue.last_seen)
        assert issue.first_seen <= issue.last_seen


@pytest.mark.parametrize(("body", "field"), BAD_EVENTS.values(), ids=BAD_EVENTS)
def test_a_bad_event_is_refused_and_the_field_named(twin_url: str, body: bytes, field: str) -> None:
    failure = check_failure(client.post(twin_url, body), 400)
    assert [problem.field for problem in failure.errors] == [field]
    assert failure.errors[0].reason


def test_every_bad_field_is_named_at_once(twin_url: str) -> None:
    failure = check_failure(client.post(twin_url, b'{"message": "", "service": "", "a": 1}'), 400)
    assert {problem.field for problem in failure.errors} == {"message", "service", "a"}


def test_the_answer_to_a_body_wrong_in_many_places_is_short(twin_url: str) -> None:
    many = {f"{number}{'x' * 200}": 1 for number in range(1_000)}
    assert len(client.post(twin_url, json.dumps(many).encode()).body) < 2_000


def test_a_refused_event_is_not_kept(twin_url: str) -> None:
    message = f"refused by {twin_url}"
    refused = client.log(twin_url, message, level="error")
    assert refused.status == 400
    client.log(twin_url, message + ", kept")
    client.issue(twin_url, fingerprint(message + ", kept"))
    assert client.get(twin_url, f"{client.ERRORS}/{fingerprint(message)}").status == 404


@pytest.mark.parametrize("media_type", GOOD_MEDIA_TYPES)
def test_json_in_utf_8_is_taken(twin_url: str, media_type: str) -> None:
    assert client.post(twin_url, EVENT, {"Content-Type": media_type}).status == 200


@pytest.mark.parametrize("media_type", BAD_MEDIA_TYPES)
def test_another_media_type_is_refused(twin_url: str, media_type: str | None) -> None:
    headers = {} if media_type is None else {"Content-Type": media_type}
    check_failure(client.post(twin_url, EVENT, headers), 415)


def test_the_largest_body_is_taken_and_one_byte_more_refused(twin_url: str) -> None:
    assert len(LARGEST) == MAX_BODY
    assert client.post(twin_url, LARGEST).status == 200
    check_failure(client.post(twin_url, TOO_LARGE), 413)


@pytest.mark.parametrize("character", ["a", "\U0001f525"], ids=["1 byte", "4 bytes"])
def test_a_long_stack_trace_is_cut_in_the_middle(twin_url: str, character: str) -> None:
    message = f"long stack trace of {character} for {twin_url}"
    trace = "first line\n" + character * (100_000 // len(character.encode())) + "\nlast line"
    assert client.log(twin_url, message, stackTrace=trace).status == 200
    kept = client.issue(twin_url, fingerprint(message)).stackTrace or ""
    assert len(kept.encode()) <= MAX_STACK_TRACE
    assert kept.startswith("first line\n" + character)
    assert kept.endswith(character + "\nlast line")
    assert " bytes cut ..." in kept


def test_a_stack_trace_of_exactly_64_kib_is_kept_whole(twin_url: str) -> None:
    message, trace = f"64 KiB for {twin_url}", "a" * MAX_STACK_TRACE
    assert client.log(twin_url, message, stackTrace=trace).status == 200
    assert client.issue(twin_url, fingerprint(message)).stackTrace == trace
