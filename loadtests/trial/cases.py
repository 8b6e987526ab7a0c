"""Bad requests, each with its answer: for the contract's tests, the comparison of the twins, and lab 10."""

from base64 import urlsafe_b64encode

from shared.event import MAX_BODY

SURROGATE = b"\xed\xa0\x80"
"""U+D800 as UTF-8 would write it if that were allowed."""

# Name: body, and the field that the answer must name.
BAD_EVENTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "body"),
    "only spaces": (b"  ", "body"),
    "no JSON": (b"disk full", "body"),
    "cut short": (b'{"message": "x"', "body"),
    "two objects": (b'{"message": "x"} {"message": "x"}', "body"),
    "single quotes": (b"{'message': 'x'}", "body"),
    "trailing comma": (b'{"message": "x",}', "body"),
    "line break in a string": (b'{"message": "a\nb"}', "body"),
    "bad escape": (b'{"message": "\\x41"}', "body"),
    "deep": (b'{"message":' * 5_000, "body"),
    "not UTF-8": (b'{"message": "\xff"}', "body"),
    "UTF-16": ('{"message": "x"}'.encode("utf-16"), "body"),
    "byte order mark": ('{"message": "x"}'.encode("utf-8-sig"), "body"),
    "array": (b'[{"message": "x"}]', "body"),
    "string": (b'"x"', "body"),
    "number": (b"1", "body"),
    "huge number": (b"9" * 5_000, "body"),
    "null": (b"null", "body"),
    "true": (b"true", "body"),
    "no message": (b"{}", "message"),
    "only a service": (b'{"service": "a"}', "message"),
    "message empty": (b'{"message": ""}', "message"),
    "message of 501": (b'{"message": "%b"}' % (b"x" * 501), "message"),
    "message null": (b'{"message": null}', "message"),
    "message a number": (b'{"message": 1}', "message"),
    "message infinite": (b'{"message": 1e999}', "message"),
    "message true": (b'{"message": true}', "message"),
    "message an array": (b'{"message": ["x"]}', "message"),
    "message an object": (b'{"message": {"a": "x"}}', "message"),
    "stackTrace a number": (b'{"message": "x", "stackTrace": 1}', "stackTrace"),
    "stackTrace an array": (b'{"message": "x", "stackTrace": ["x"]}', "stackTrace"),
    "service empty": (b'{"message": "x", "service": ""}', "service"),
    "service of 65": (b'{"message": "x", "service": "%b"}' % (b"s" * 65), "service"),
    "service null": (b'{"message": "x", "service": null}', "service"),
    "service a number": (b'{"message": "x", "service": 1}', "service"),
    "unknown field": (b'{"message": "x", "level": "error"}', "level"),
    "field of another case": (b'{"message": "x", "Service": "a"}', "Service"),
    "field by its name in Python": (b'{"message": "x", "stack_trace": "a"}', "stack_trace"),
    "field without a name": (b'{"message": "x", "": 1}', "body"),
    "surrogate pair the wrong way round": (b'{"message": "\\ude00\\ud83d"}', "body"),
    "surrogate in a field's name": (b'{"message": "x", "\\ud800": 1}', "body"),
}
for _field in ("message", "stackTrace", "service"):
    _other = b"" if _field == "message" else b'"message": "x", '
    for _name, _text, _where in (
        ("high surrogate as an escape", b"\\ud800", "body"),
        ("low surrogate as an escape", b"\\udc00", "body"),
        ("surrogate as bytes", SURROGATE, "body"),
        ("NUL as an escape", b"a\\u0000b", _field),
        ("NUL as a byte", b"a\0b", "body"),
    ):
        BAD_EVENTS[f"{_name} in {_field}"] = (
            b'{%b"%b": "%b"}' % (_other, _field.encode(), _text),
            _where,
        )

GOOD_MEDIA_TYPES = (
    "application/json",
    "Application/JSON",
    "application/json;",
    "application/json; charset=utf-8",
    "application/json;charset=UTF-8",
    'application/json; charset="utf-8"',
)
BAD_MEDIA_TYPES = (
    None,
    "",
    "text/plain",
    "text/json",
    "application/x-www-form-urlencoded",
    "application/problem+json",
    "application/json-seq",
    "application/json, application/json",
    "application/json; charset=latin-1",
    "application/json; charset=utf-16",
    "application/json; charset=",
)


def _cursor(text: str) -> str:
    return "cursor=" + urlsafe_b64encode(text.encode()).decode()


# Query, and the parameter that the answer must name.
BAD_QUERIES = {
    "limit=0": "limit",
    "limit=101": "limit",
    "limit=-1": "limit",
    "limit=": "limit",
    "limit=ten": "limit",
    "limit=1.5": "limit",
    f"limit={'9' * 3_000}": "limit",
    "sort=": "sort",
    "sort=id": "sort",
    "sort=LAST_SEEN": "sort",
    "service=": "service",
    "service=" + "s" * 65: "service",
    "offset=1": "offset",
    "cursor=": "cursor",
    "cursor=abc": "cursor",
    "cursor=%00": "cursor",
    "cursor=%ff%fe": "cursor",
    "cursor=" + "A" * 200: "cursor",
    "cursor=" + "A" * 201: "cursor",
    _cursor("not JSON"): "cursor",
    _cursor("null"): "cursor",
    _cursor("[]"): "cursor",
    _cursor('["last_seen"]'): "cursor",
    _cursor('["last_seen", "yesterday", 1]'): "cursor",
    _cursor('["last_seen", 1, 1]'): "cursor",
    _cursor('["last_seen", null, 1]'): "cursor",
    _cursor('["last_seen", "2026-01-01T00:00:00", "x"]'): "cursor",
    _cursor('["last_seen", "2026-01-01T00:00:00", null]'): "cursor",
    _cursor('["last_seen", "2026-01-01T00:00:00", Infinity]'): "cursor",
    _cursor('["first_seen", "2026-01-01T00:00:00", 1]'): "cursor",
    _cursor('{"a": 1, "b": 2, "c": 3}'): "cursor",
    "sort=times_seen&" + _cursor('["times_seen", Infinity, 1]'): "cursor",
    "sort=times_seen&" + _cursor('["times_seen", "x", 1]'): "cursor",
    "sort=times_seen&" + _cursor('["last_seen", "2026-01-01T00:00:00", 1]'): "cursor",
}

UNKNOWN_PATHS = (
    "/",
    "/api",
    "/api/v1",
    "/api/v1/errors/",
    "/api/v1//errors",
    "/api/v1/errors/log/",
    "/api/v1/errors/log/more",
    "/api/v1/errors/" + "0" * 63,
    "/api/v1/errors/" + "0" * 65,
    "/api/v1/errors/" + "A" * 64,
    "/api/v1/errors/" + "0" * 63 + "%0a",
    "/api/v1/errors/" + "%20" * 64,
    "/api/v1/errors/%00",
    "/api/v1/services/",
    "/API/V1/ERRORS",
    "/api/v2/errors",
)

READ_PATHS = (
    "/api/v1/errors",
    "/api/v1/errors/" + "0" * 64,
    "/api/v1/services",
    "/api/v1/health",
    "/api/v1/ready",
    "/metrics",
    "/openapi.json",
)
# Path, wrong methods, and what Allow must name.
WRONG_METHODS = [
    ("/api/v1/errors/log", method, {"POST"})
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
] + [
    (path, method, {"GET", "HEAD"})
    for path in READ_PATHS
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
]

LARGEST = b'{"message": "as large as can be"}'.ljust(MAX_BODY)
TOO_LARGE = LARGEST + b" "
