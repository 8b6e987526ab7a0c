"""What a request's head may be: one rule for both twins, whatever their servers' parsers let through."""

import re
from collections import Counter
from collections.abc import Iterable
from ipaddress import IPv6Address

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
MAX_LENGTH = 2**64 - 1
"""Of a Content-Length, as the async twin's parser has it."""
MAX_DIGITS = len(str(MAX_LENGTH))
"""Zeros in front count: Python makes no number of more than 4,300 digits."""
_URL = re.compile(
    r"https?://(?:[a-z0-9._-]+|\[(?P<v6>[0-9a-f:.]+)\])(?::[0-9]{0,5})?(?P<rest>(?:[/?].*)?)", re.IGNORECASE
)


def check_request(method: str, version: str, target: str, headers: Iterable[tuple[str, str]]) -> None:
    """Raises Refused: 400 where the head leaves a doubt of what the request is or where it ends; 417.

    Names of headers in lower case, values without spaces around them. After either the connection ends.
    """
    headers = list(headers)
    fields = dict(headers)
    times = Counter(name for name, _ in headers)
    coding = fields.get("transfer-encoding")
    origin_form(target)  # refuses what has none
    if (
        method not in METHODS
        or version not in VERSIONS
        or any(times[name] > 1 for name in ONCE)
        or (version == "1.1" and "host" not in fields)
        or (coding is not None and not _is_chunked(coding, version, fields))
        or not is_length(fields.get("content-length", "0"))
        or any(not CONTROLS.isdisjoint(value) for _, value in headers)
    ):
        raise not_http()
    if any(name == "expect" and value.lower() != "100-continue" for name, value in headers):
        raise expectation_failed()


def _is_chunked(coding: str, version: str, fields: dict[str, str]) -> bool:
    return coding.lower() == "chunked" and version == "1.1" and "content-length" not in fields


def is_length(text: str) -> bool:
    """Whether it can be a Content-Length, so that `int` takes it."""
    return text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS and int(text) <= MAX_LENGTH


def origin_form(target: str) -> str:
    """Path and query of a request's target. Raises Refused (400) where it is neither a path nor a URL.

    Whose URL it is does not matter: who asks us means us.
    """
    if target.startswith("/"):
        return target
    url = _URL.fullmatch(target)
    if url is None or (url["v6"] and not _is_v6(url["v6"])):
        raise not_http()
    return url["rest"] if url["rest"].startswith("/") else "/" + url["rest"]


def _is_v6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


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
