"""The page over HTTP, and the samples as server-sent events, to which a browser comes back by itself."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from string import Template
from threading import Thread

from loadtests.bootstrap import ROOT
from loadtests.live.feed import Feed
from loadtests.live.sampler import WINDOW
from loadtests.load.subjects import for_scripts
from loadtests.stack.servers import LOOPBACK

HERE = Path(__file__).parent
REPORT = ROOT / "loadtests" / "report" / "page"
FILES = {
    "/live.css": HERE / "live.css",
    "/live.js": HERE / "live.js",
    "/page.css": REPORT / "page.css",
    "/common.js": REPORT / "common.js",
    "/echarts.js": REPORT / "vendor" / "echarts.common.min.js",
}
TYPES = {".css": "text/css", ".js": "text/javascript"}
EVENTS = "/events"
RETRY = 2000
"""Milliseconds after which a browser asks again."""
PATIENCE = 5
"""Seconds that a client may take to send its request, or to read."""


def page(flush_interval: float) -> str:
    """Return the page of a stack that flushes every so many seconds."""
    subjects = json.dumps(for_scripts()).replace("<", "\\u003c")
    template = Template((HERE / "live.html").read_text(encoding="utf-8"))
    return template.substitute(subjects=subjects, flush_interval=f"{flush_interval:g}", window=f"{WINDOW:g}")


class Server(ThreadingHTTPServer):
    daemon_threads = True  # who has connected and says nothing must not hold up the end

    def __init__(self, port: int, feed: Feed, flush_interval: float) -> None:
        super().__init__((LOOPBACK, port), Handler)
        self.feed = feed
        self.page = page(flush_interval).encode()


class Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = PATIENCE

    def do_GET(self) -> None:
        if self.path == EVENTS:
            # Whoever closes the page has gone without a word.
            with suppress(ConnectionError, TimeoutError):
                self._send_events()
        elif self.path == "/":
            self._begin("text/html; charset=utf-8")
            self.wfile.write(self.server.page)
        elif file := FILES.get(self.path):
            body = file.read_bytes()
            self._begin(f"{TYPES[file.suffix]}; charset=utf-8")
            self.wfile.write(body)
        else:
            self.send_error(404)

    def _send_events(self) -> None:
        self._begin("text/event-stream")
        self.wfile.write(f"retry: {RETRY}\n\n".encode())
        with self.server.feed.reader() as batches:
            for samples in batches:
                self.wfile.write(f"data: {json.dumps(samples)}\n\n".encode())
            self.wfile.write(b"event: end\ndata:\n\n")

    def _begin(self, content_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Cache-Control", "no-store")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """The log is for what goes wrong."""


@contextmanager
def serve(port: int, feed: Feed, flush_interval: float) -> Iterator[str]:
    """Serve on loopback only, and give the address; 0 is any free port. The end of the block ends `feed`."""
    with Server(port, feed, flush_interval) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://{LOOPBACK}:{server.server_port}"
        finally:
            feed.end()
            server.shutdown()
