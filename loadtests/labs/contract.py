"""The requests of the contract that a framework can answer wrongly, and what they should be answered.

What is about the wire, slow clients and odd requests, is in tests/contract alone.
"""

from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPException
from typing import NamedTuple
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from loadtests.stack.roles import HEALTH
from loadtests.trial.cases import (
    BAD_EVENTS,
    BAD_MEDIA_TYPES,
    BAD_QUERIES,
    GOOD_MEDIA_TYPES,
    LARGEST,
    TOO_LARGE,
)
from shared.answer import JSON, Acknowledged, Failure, Success
from shared.event import PATH
from shared.fingerprint import fingerprint
from shared.health import Health
from shared.listing import IssueView, Page

PATIENCE = 10.0
"""Seconds that an answer may take."""
MESSAGE = "the contract"
EVENT = b'{"message": "%b"}' % MESSAGE.encode()
ISSUES = "/api/v1/errors"
LONGEST = 40
"""Characters of a body that are told."""
Forms = Mapping[int, type[BaseModel]]
"""The statuses that an answer may have, each with the form of its body."""
KEPT: Forms = {200: Success[Acknowledged]}
NO_ANSWER = "no answer"


class Case(NamedTuple):
    about: str
    """The request, in a line."""
    path: str
    forms: Forms
    body: bytes | None = None
    """Of a POST; None: it is a GET."""
    content_type: str | None = None


def _refused(status: int) -> Forms:
    return {status: Failure}


def _events() -> Iterator[Case]:
    yield _event(EVENT, KEPT)
    for name, (body, _) in BAD_EVENTS.items():
        yield _event(body, _refused(400), f" ({name})")
    yield _event(LARGEST, KEPT, f" ({len(LARGEST):,} bytes)")
    yield _event(TOO_LARGE, _refused(413), f" ({len(TOO_LARGE):,} bytes)")
    for media_type in GOOD_MEDIA_TYPES:
        yield _event(EVENT, KEPT, f" as {media_type}", media_type)
    for wrong in BAD_MEDIA_TYPES:
        yield _event(EVENT, _refused(415), f" as {wrong or 'nothing'}", wrong)


def _event(body: bytes, forms: Forms, told: str = "", content_type: str | None = JSON) -> Case:
    text = body[:LONGEST].decode(errors="backslashreplace")
    shown = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
    more = "..." if len(body) > LONGEST else ""
    return Case(f"POST {shown}{more}{told}", PATH, forms, body, content_type)


def _questions() -> Iterator[Case]:
    yield _question(HEALTH, {200: Success[Health]})
    yield _question(ISSUES, {200: Success[Page]})
    # Whether it is kept is another question: 404 is the contract's answer of who has forgotten it.
    yield _question(f"{ISSUES}/{fingerprint(MESSAGE)}", {200: Success[IssueView], 404: Failure})
    yield _question(f"{ISSUES}/{'0' * 64}", _refused(404))
    for query in BAD_QUERIES:
        yield _question(f"{ISSUES}?{query}", _refused(400))


def _question(path: str, forms: Forms) -> Case:
    return Case(f"GET {path[: 2 * LONGEST]}", path, forms)


CASES = (*_events(), *_questions())


def differences(base_url: str) -> Iterator[str]:
    """Yield a line for each of CASES that is answered otherwise.

    The first without any answer is the last: each of the others might take as long.
    """
    for case in CASES:
        if wrong := _wrong(base_url, case):
            yield f"{case.about}: {wrong}"
            if wrong.startswith(NO_ANSWER):
                return


def _wrong(base_url: str, case: Case) -> str | None:
    should = f"should be {' or '.join(map(str, case.forms))}"
    try:
        status, body = _answer(base_url, case)
    except (OSError, HTTPException) as error:
        return f"{NO_ANSWER} ({type(error).__name__}), {should}"
    if status not in case.forms:
        return f"answered {status}, {should}"
    try:
        case.forms[status].model_validate_json(body, strict=True)
    except ValidationError as error:
        found = error.errors()[0]
        where = ".".join(map(str, found["loc"])) or "body"
        return f"answered {status} in another form, {where}: {found['msg']}"
    return None


def _answer(base_url: str, case: Case) -> tuple[int, bytes]:
    """Over a new connection. Raises OSError, HTTPException."""
    connection = HTTPConnection(urlsplit(base_url).netloc, timeout=PATIENCE)
    headers = {} if case.content_type is None else {"Content-Type": case.content_type}
    try:
        connection.request("GET" if case.body is None else "POST", case.path, case.body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
