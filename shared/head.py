"""What a request's head may be: one rule for both twins, whatever their servers' parsers let through."""

from collections import Counter
from collections.abc import Iterable

from shared.answer import Refused

LINGER_SECONDS = 2.0
LINGER_BYTES = 8 * 1024 * 1024
"""Still taken, and dropped, after the last answer: closed earlier, the kernel would drop the answer."""
MAX_HEAD = 16 * 1024
"""Bytes of the request line and all headers: what Node allows, twice what most servers do."""
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"))
VERSIONS = ("1.0", "1.1")
ONCE = ("host", "content-type", "content-length", "transfer-encoding")
"""Said twice, a proxy and we may each believe another one."""
CONTROLS = frozenset("\r\n\0")


def check_request(method: str, version: str, target: str, headers: Iterable[tuple[str, str]]) -> None:
    """Raises Refused: 400 where the head leaves a doubt of what the request is or where it ends; 417.

    Names of headers in lower case. After either the connection ends.
    """
    headers = list(headers)
    fields = dict(headers)
    times = Counter(name for name, _ in headers)
    coding = fields.get("transfer-encoding")
    if (
        method not in METHODS
        or version not in VERSIONS
        or not target.startswith(("/", "http://", "https://"))
        or any(times[name] > 1 for name in ONCE)
        or (version == "1.1" and "host" not in fields)
        or (coding is not None and not _is_chunked(coding, version, fields))
        or any(not CONTROLS.isdisjoint(value) for value in fields.values())
    ):
        raise not_http()
    if fields.get("expect", "100-continue").lower() != "100-continue":
        raise expectation_failed()


def _is_chunked(coding: str, version: str, fields: dict[str, str]) -> bool:
    return coding.lower() == "chunked" and version == "1.1" and "content-length" not in fields


def ends(refused: Refused) -> Refused:
    refused.headers["Connection"] = "close"
    return refused


def not_http() -> Refused:
    return ends(Refused(400, "The request is not valid HTTP"))


def head_too_large() -> Refused:
    return ends(Refused(431, f"The head of the request is larger than {MAX_HEAD} bytes"))


def expectation_failed() -> Refused:
    return ends(Refused(417, "Expectation Failed"))


def body_ended() -> Refused:
    return ends(Refused(400, "The body ended too early"))


def too_slow() -> Refused:
    return ends(Refused(408, "The request did not come in time"))
