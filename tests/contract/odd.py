"""Odd requests, each with the status that both twins answer: the lines of the table in docs/contract.md."""

import gzip

from tests.client import ERRORS, HEALTH, LOG, head

EVENT = b'{"message": "odd"}'
JSON = "Content-Type: application/json"
LENGTH = f"Content-Length: {len(EVENT)}"
CHUNKED = "Transfer-Encoding: chunked"
IN_CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(EVENT), EVENT)
GZIPPED = gzip.compress(EVENT)
BOMB = gzip.compress(b" " * 200_000_000, 9)


def post(*headers: str, body: bytes = EVENT, path: str = LOG) -> bytes:
    return head(JSON, f"Content-Length: {len(body)}", *headers, path=path) + body


def plain(old: bytes, new: bytes) -> bytes:
    """A plain request with one thing changed."""
    request = post()
    assert old in request
    return request.replace(old, new, 1)


def filled(size: int) -> bytes:
    """A GET with a head of so many bytes."""
    bare = head("X-Fill: ", method="GET", path="/nowhere")
    return head("X-Fill: " + "x" * (size - len(bare)), method="GET", path="/nowhere")


ODD: dict[str, tuple[bytes, int]] = {
    "Upgrade: h2c": (
        post("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQ"),
        200,
    ),
    "Upgrade: websocket": (
        post(
            "Connection: upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Key: eA==",
            "Sec-WebSocket-Version: 13",
        ),
        200,
    ),
    "Upgrade, in chunks": (
        head(JSON, CHUNKED, "Connection: Upgrade", "Upgrade: h2c") + IN_CHUNKS,
        200,
    ),
    "another hop-by-hop header": (post("Connection: keep-alive, X-Hop", "X-Hop: 1", "TE: trailers"), 200),
    "a Host that is no name": (plain(b"Host: twin", b"Host: a..b"), 200),
    "a Host of a dot": (plain(b"Host: twin", b"Host: ."), 200),
    "a Host that begins with a dot": (plain(b"Host: twin", b"Host: .a"), 200),
    "a Host of a label of 64": (plain(b"Host: twin", b"Host: " + b"a" * 64), 200),
    "two Hosts": (post("Host: another"), 400),
    "no Host": (plain(b"Host: twin\r\n", b""), 400),
    "no Host in HTTP/1.0": (plain(b"HTTP/1.1\r\nHost: twin\r\n", b"HTTP/1.0\r\n"), 200),
    "two Content-Types": (post(JSON), 400),
    "two Content-Lengths, alike": (post(LENGTH), 400),
    "two Content-Lengths": (post("Content-Length: 1"), 400),
    "a list as Content-Length": (head(JSON, "Content-Length: 18, 18") + EVENT, 400),
    "a sign in Content-Length": (head(JSON, "Content-Length: +18") + EVENT, 400),
    "Content-Length of 30 digits": (head(JSON, "Content-Length: " + "9" * 30) + EVENT, 400),
    "Content-Length of 19 digits": (head(JSON, "Content-Length: " + "9" * 19) + EVENT, 413),
    "Content-Length of 20 digits": (head(JSON, "Content-Length: 1" + "0" * 19) + EVENT, 413),
    "Content-Length of 2^64 - 1": (head(JSON, f"Content-Length: {2**64 - 1}") + EVENT, 413),
    "Content-Length of 2^64": (head(JSON, f"Content-Length: {2**64}") + EVENT, 400),
    "Content-Length of 20 digits, of another type": (head("Content-Length: 1" + "0" * 19) + EVENT, 415),
    "Content-Length of 20 digits, where none is read": (
        head("Content-Length: 1" + "0" * 19, method="GET", path="/nowhere"),
        404,
    ),
    "zeros before Content-Length": (head(JSON, f"Content-Length: {len(EVENT):020}") + EVENT, 200),
    "zeros before Content-Length, 21 digits": (head(JSON, f"Content-Length: {len(EVENT):021}") + EVENT, 400),
    "zeros before Content-Length, 5,000 digits": (
        head(JSON, f"Content-Length: {len(EVENT):05000}") + EVENT,
        400,
    ),
    "spaces behind Content-Length": (head(JSON, LENGTH + " \t ") + EVENT, 200),
    "Content-Length and chunks": (head(JSON, LENGTH, CHUNKED) + IN_CHUNKS, 400),
    "chunks twice": (head(JSON, CHUNKED, CHUNKED) + IN_CHUNKS, 400),
    "gzip as a transfer coding": (head(JSON, "Transfer-Encoding: gzip, chunked") + IN_CHUNKS, 400),
    "an unknown transfer coding": (head(JSON, "Transfer-Encoding: x") + IN_CHUNKS, 400),
    "spaces around a transfer coding": (head(JSON, "Transfer-Encoding: \t chunked  ") + IN_CHUNKS, 200),
    "16,000 spaces in a transfer coding": (
        head(JSON, "Transfer-Encoding: a" + " " * 16_000 + "b") + IN_CHUNKS,
        400,
    ),
    "identity as a transfer coding": (head(JSON, "Transfer-Encoding: identity", LENGTH) + EVENT, 400),
    "chunks in HTTP/1.0": (
        (head(JSON, CHUNKED) + IN_CHUNKS).replace(b"HTTP/1.1", b"HTTP/1.0", 1),
        400,
    ),
    "150 headers": (post(*(f"X-{n}: {n}" for n in range(150))), 200),
    "a header of 9 KB": (post("X-Long: " + "x" * 9_000), 200),
    "a header of 17 KB": (post("X-Long: " + "x" * 17_000), 431),
    "a head of 17 KB": (post(*(f"X-{n}: {'x' * 100}" for n in range(170))), 431),
    "a query of 9 KB": (post(path=LOG + "?" + "q" * 9_000), 200),
    "a query of 17 KB": (post(path=LOG + "?" + "q" * 17_000), 431),
    "a GET of 16,384 bytes behind CRLF": (b"\r\n" + filled(16_384), 404),
    "a GET of 16,385 bytes behind CRLF": (b"\r\n" + filled(16_385), 431),
    "a chunk extension": (head(JSON, CHUNKED) + IN_CHUNKS.replace(b"\r\n", b";a=b\r\n", 1), 200),
    "a chunk extension of 300 KB": (
        head(JSON, CHUNKED) + IN_CHUNKS.replace(b"\r\n", b";a=" + b"b" * 300_000 + b"\r\n", 1),
        400,
    ),
    "a chunk extension of 16,000 bytes": (
        head(JSON, CHUNKED) + IN_CHUNKS.replace(b"\r\n", b";a=" + b"b" * 15_997 + b"\r\n", 1),
        200,
    ),
    "an extension without a value": (head(JSON, CHUNKED) + IN_CHUNKS.replace(b"\r\n", b";a=\r\n", 1), 200),
    "an extension in quotes": (head(JSON, CHUNKED) + IN_CHUNKS.replace(b"\r\n", b';a="b;c"\r\n', 1), 200),
    "an extension without a name": (head(JSON, CHUNKED) + IN_CHUNKS.replace(b"\r\n", b";\r\n", 1), 400),
    "a space before an extension": (head(JSON, CHUNKED) + IN_CHUNKS.replace(b"\r\n", b" ;a=b\r\n", 1), 400),
    "a space behind a chunk's size": (head(JSON, CHUNKED) + IN_CHUNKS.replace(b"\r\n", b" \r\n", 1), 400),
    "zeros before a chunk's size": (head(JSON, CHUNKED) + b"0" * 5_000 + IN_CHUNKS, 200),
    "a chunk of 2^64": (head(JSON, CHUNKED) + b"1" + b"0" * 16 + b"\r\n{", 400),
    "a chunk of 2^64, of another type": (head(CHUNKED) + b"1" + b"0" * 16 + b"\r\n{", 400),
    "a chunk that is none": (head(JSON, CHUNKED) + b"zz\r\n{}\r\n", 400),
    "a chunk that is none, of another type": (head(CHUNKED) + b"zz\r\n{}\r\n", 400),
    "a chunk that is none, where none is read": (
        head(CHUNKED, method="GET", path="/nowhere") + b"zz\r\n{}\r\n",
        400,
    ),
    "a chunk that is too short": (head(JSON, CHUNKED) + b"2\r\n{}}\r\n0\r\n\r\n", 400),
    "a trailer": (head(JSON, CHUNKED) + IN_CHUNKS[:-2] + b"X-Sum: 1\r\n\r\n", 200),
    "trailers of 300 KB": (
        head(JSON, CHUNKED) + IN_CHUNKS[:-2] + b"X-Sum: 1\r\n" * 30_000 + b"\r\n",
        400,
    ),
    "trailers of 16,000 bytes": (
        head(JSON, CHUNKED) + IN_CHUNKS[:-2] + b"X-Sum: 1\r\n" * 1_600 + b"\r\n",
        200,
    ),
    "a trailer that decides": (
        head("Content-Type: text/plain", CHUNKED) + IN_CHUNKS[:-2] + b"Content-Encoding: x\r\n\r\n",
        415,
    ),
    "a trailer for the head": (head(JSON, CHUNKED) + IN_CHUNKS[:-2] + b"Host: a\r\nTE: b\r\n\r\n", 200),
    "a length as a trailer": (head(JSON, CHUNKED) + IN_CHUNKS[:-2] + b"Content-Length: 1\r\n\r\n", 400),
    "a Connection as a trailer": (head(JSON, CHUNKED) + IN_CHUNKS[:-2] + b"Connection: close\r\n\r\n", 400),
    "a trailer without a colon": (head(JSON, CHUNKED) + IN_CHUNKS[:-2] + b"X-Sum\r\n\r\n", 400),
    "spaces in the request line": (plain(b" ", b"   ").replace(b" HTTP", b"  HTTP", 1), 200),
    "a space behind the request line": (plain(b"HTTP/1.1", b"HTTP/1.1 "), 400),
    "a space before the request line": (b" " + post(), 400),
    "HTTP/2.0": (plain(b"HTTP/1.1", b"HTTP/2.0"), 400),
    "HTTP/1.5": (plain(b"HTTP/1.1", b"HTTP/1.5"), 400),
    "HTTP/0.9": (b"GET /api/v1/health\r\n\r\n", 400),
    "HTTP/2 with prior knowledge": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "a TLS handshake": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "a first line that is none, and no more": (b"garbage\r\n", 400),
    "a NUL, and no more": (b"\0", 400),
    "HTTP/9.9, and no more": (b"GET / HTTP/9.9\r\n", 400),
    "a TLS handshake, and no more": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "a first line that is none behind CRLF, and no more": (b"\r\ngarbage\r\n", 400),
    "an unknown method": (plain(b"POST", b"BREW"), 400),
    "a method of WebDAV": (plain(b"POST", b"PROPFIND"), 400),
    "a method in lower case": (plain(b"POST", b"post"), 400),
    "CONNECT": (b"CONNECT twin:80 HTTP/1.1\r\nHost: twin\r\n\r\n", 400),
    "OPTIONS *": (b"OPTIONS * HTTP/1.1\r\nHost: twin\r\n\r\n", 400),
    "an absolute target": (plain(LOG.encode(), b"http://twin" + LOG.encode()), 200),
    "an absolute target without a path": (b"GET http://twin HTTP/1.1\r\nHost: twin\r\n\r\n", 404),
    "an absolute target with a query alone": (b"GET http://twin?a=b HTTP/1.1\r\nHost: twin\r\n\r\n", 404),
    "an absolute target of another's": (plain(LOG.encode(), b"HTTPS://an_other:65536" + LOG.encode()), 200),
    "an absolute target by IPv6": (plain(LOG.encode(), b"http://[::1]:9001" + LOG.encode()), 200),
    "an absolute target by nearly IPv6": (plain(LOG.encode(), b"http://[::1::]" + LOG.encode()), 400),
    "an absolute target without a host": (plain(LOG.encode(), b"http://" + LOG.encode()), 400),
    "an absolute target with a user": (plain(LOG.encode(), b"http://me@twin" + LOG.encode()), 400),
    "an absolute target with half a port": (plain(LOG.encode(), b"http://twin:90x" + LOG.encode()), 400),
    "an absolute target of another scheme": (plain(LOG.encode(), b"ftp://twin" + LOG.encode()), 400),
    "two slashes": (post(path="/" + LOG), 404),
    "two slashes before another route": (head(method="GET", path="//metrics"), 404),
    "a line feed behind the path": (post(path=LOG + "%0A"), 404),
    "a line feed behind another path": (head(method="GET", path=HEALTH + "%0a"), 404),
    "a line feed behind a file": (head(method="GET", path="/openapi.json%0A"), 404),
    "a line feed behind a fingerprint": (head(method="GET", path=f"{ERRORS}/{'0' * 64}%0A"), 404),
    "a target that is no path": (plain(LOG.encode(), b"api"), 400),
    "a byte above 127 in the path": (plain(b"/log", b"/l\xc3\xb6g"), 400),
    "a bare CR in a header": (post("X-Odd: a\rb"), 400),
    "a NUL in a header": (post("X-Odd: a\0b"), 400),
    "a folded header": (post("X-Odd: a\r\n b"), 400),
    "a space before the colon": (post("X-Odd : a"), 400),
    "a header without a colon": (post("X-Odd"), 400),
    "bare LFs": (post().replace(b"\r\n", b"\n"), 400),
    "CRLF before the request": (b"\r\n" + post(), 200),
    "two CRLFs before the request": (b"\r\n\r\n" + post(), 200),
    "Expect of another thing": (post("Expect: 200-ok"), 417),
    "Expect twice, once of another thing": (post("Expect: 200-ok", "Expect: 100-continue"), 417),
    "Expect with 16,000 spaces": (post("Expect: a" + " " * 16_000 + "b"), 417),
    "Expect and no Host": (plain(b"Host: twin", b"Expect: 200-ok"), 400),
    "Expect with spaces around": (post("Expect: \t 100-continue \t "), 200),
    "Expect in HTTP/1.0": (post("Expect: 100-continue").replace(b"HTTP/1.1", b"HTTP/1.0", 1), 200),
    "Expect in capitals": (post("Expect: 100-CONTINUE"), 200),
    "HEAD with a body": (post().replace(b"POST", b"HEAD", 1), 405),
    "gzip": (post("Content-Encoding: gzip", body=GZIPPED), 200),
    "gzip in capitals": (post("Content-Encoding: GZIP", body=GZIPPED), 200),
    "gzip with spaces around": (post("Content-Encoding: \t gzip \t ", body=GZIPPED), 200),
    "gzip that is none": (post("Content-Encoding: gzip"), 400),
    "gzip cut short": (post("Content-Encoding: gzip", body=GZIPPED[:-1]), 400),
    "gzip and more": (post("Content-Encoding: gzip", body=GZIPPED + b"x"), 400),
    "a gzip bomb": (post("Content-Encoding: gzip", body=BOMB), 413),
    "identity": (post("Content-Encoding: identity"), 200),
    "another encoding": (post("Content-Encoding: br"), 415),
    "gzip twice": (post("Content-Encoding: gzip", "Content-Encoding: gzip", body=GZIPPED), 415),
    "charset=utf8": (plain(b"/json", b"/json; charset=utf8"), 200),
    "X-Forwarded-Proto twice": (post("X-Forwarded-Proto: http", "X-Forwarded-Proto: https"), 200),
    "a header that WSGI would believe": (post("SCRIPT_NAME: /api"), 200),
}
