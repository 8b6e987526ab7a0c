"""An event: one error report, one POST. Both twins parse it here, so that both refuse the same bytes."""

import zlib
from functools import cached_property
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError, from_json, to_json

from shared.answer import Problem, Refused
from shared.fingerprint import DEFAULT_SERVICE, fingerprint
from shared.head import is_length

PATH = "/api/v1/errors/log"
MAX_MESSAGE = 500
MAX_SERVICE = 64
"""Code points, as in the table's columns."""
MAX_BODY = 256 * 1024
MAX_STACK_TRACE = 64 * 1024
MAX_PROBLEMS = 10
"""A hostile body can be wrong in thousands of places; its answer stays short."""
MANY = 100
"""More problems than these are not all listed, to name ten: 29,000 took 45 ms, with nobody answered."""


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise PydanticCustomError("nul", "A NUL character can't be kept")
    return text


def cut_in_the_middle(stack_trace: str) -> str:
    """At most 64 KiB of UTF-8: both ends stay, since the cause is at one of them.

    Both halves are cut at a code point, and the marker says how many bytes are gone.
    """
    encoded = stack_trace.encode()
    if len(encoded) <= MAX_STACK_TRACE:
        return stack_trace
    half = MAX_STACK_TRACE // 2 - 32
    head = encoded[:half].decode(errors="ignore")
    tail = encoded[-half:].decode(errors="ignore")
    gone = len(encoded) - len(head.encode()) - len(tail.encode())
    return f"{head}\n... {gone} bytes cut ...\n{tail}"


NO_NUL = AfterValidator(_no_nul)
PATTERN: JsonDict = {"pattern": "^[^\\u0000]*$"}
"""The same rule for the OpenAPI document; checked as a pattern its reason would be hard to read."""

StackTrace = Annotated[str, Field(json_schema_extra=PATTERN), NO_NUL, AfterValidator(cut_in_the_middle)]


class Event(BaseModel):
    """`POST /api/v1/errors/log`; lengths are in code points, as MySQL counts them."""

    model_config = ConfigDict(extra="forbid", strict=True, title="Event")

    message: Annotated[
        str,
        Field(
            min_length=1,
            max_length=MAX_MESSAGE,
            json_schema_extra=PATTERN,
            description="What went wrong. Within its service it decides which issue the event belongs to.",
            examples=["disk full"],
        ),
        NO_NUL,
    ]
    stack_trace: Annotated[
        StackTrace | None,
        Field(
            alias="stackTrace",
            description="Where it went wrong. Cut in the middle above 64 KiB of UTF-8, and marked there.",
            examples=["at main (app.js:1:1)"],
        ),
    ] = None
    service: Annotated[
        str,
        Field(
            min_length=1,
            max_length=MAX_SERVICE,
            json_schema_extra=PATTERN,
            description="Who reports it; the same message of two services is two issues.",
            examples=["shop"],
        ),
        NO_NUL,
    ] = DEFAULT_SERVICE

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint(self.message, self.service)


def parse(body: bytes) -> Event:
    """The event in a request body; raises Refused (400) with a reason for each field that is wrong."""
    try:
        return Event.model_validate_json(body)
    except ValidationError as error:
        if error.error_count() > MANY:
            return parse(_with_few_fields(body))
        raise Refused(400, "The event is not valid", problems(error)) from None


def _with_few_fields(body: bytes) -> bytes:
    """The same object, and of the fields that no event has only those that an answer may name."""
    fields = from_json(body)
    own = {field.alias or name for name, field in Event.model_fields.items()}
    unknown = [name for name in fields if name not in own][:MAX_PROBLEMS]
    kept = {name: fields[name] for name in own.intersection(fields)}
    return to_json(kept | dict.fromkeys(unknown), inf_nan_mode="constants")


def check_head(
    content_type: str | None, content_length: str | None, content_encoding: str | None = None
) -> None:
    """What can be refused before the body is read: raises Refused (415, 413)."""
    media_type, _, parameter = (content_type or "").lower().partition(";")
    if media_type.strip() != "application/json" or parameter.strip() not in _CHARSETS:
        raise Refused(415, "Content-Type must be application/json, in UTF-8")
    if (content_encoding or "").lower() not in _ENCODINGS:
        raise Refused(
            415, "Content-Encoding must be gzip or identity", headers={"Accept-Encoding": "gzip, identity"}
        )
    if content_length and is_length(content_length) and int(content_length) > MAX_BODY:
        raise too_large()


_CHARSETS = ("", "charset=utf-8", 'charset="utf-8"', "charset=utf8", 'charset="utf8"')
_GZIP = ("gzip", "x-gzip")
_ENCODINGS = ("", "identity", *_GZIP)


def decoded(body: bytes, content_encoding: str | None) -> bytes:
    """The body without its gzip. Raises Refused: 413 once it is too large, and no more is unpacked; 400."""
    if (content_encoding or "").lower() not in _GZIP:
        return body
    unpacking = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        plain = unpacking.decompress(body, MAX_BODY + 1)
    except zlib.error:
        raise _not_gzip() from None
    if len(plain) > MAX_BODY:
        raise too_large()
    if not unpacking.eof or unpacking.unused_data:
        raise _not_gzip()
    return plain


def _not_gzip() -> Refused:
    return Refused(400, "The body is not one whole gzip member")


def too_large() -> Refused:
    return Refused(413, f"The body is larger than {MAX_BODY} bytes", headers={"Connection": "close"})


def problems(error: ValidationError) -> list[Problem]:
    return [
        Problem(field=".".join(map(str, found["loc"]))[:64] or "body", reason=found["msg"])
        for found in error.errors(include_url=False, include_context=False, include_input=False)[
            :MAX_PROBLEMS
        ]
    ]
