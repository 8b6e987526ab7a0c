"""uvicorn in a thread of its own, with an app whose answer says which way a request came."""

import asyncio
import socket
import threading

import uvicorn
import uvloop
from fastapi import Request, Response

from async_dedup.connection import Connection
from async_dedup.dispatch import Answer, HotPathAPI
from async_dedup.protocol import HotPathProtocol
from shared.event import PATH
from tests.client import head
from tests.parts import wait_until

JSON = "Content-Type: application/json"
TWICE = ("X-Hop: a", "X-Hop: b")
"""A header that comes twice makes a request take the long way, and changes nothing else."""


class Ways:
    def __init__(self) -> None:
        self.owed: list[Answer] = []
        self.app = HotPathAPI()
        self.app.hot = self.short
        self.app.add_api_route("/unread", self.unread, methods=["POST"])
        self.app.add_api_route("/{path:path}", self.long, methods=["GET", "POST"])
        self.is_open = asyncio.Event()

    def short(self, body: bytes, answer: Answer) -> None:
        match body:
            case b"bug":
                raise ZeroDivisionError
            case b"later":
                self.owed.append(answer)
            case _:
                answer(b"short")

    async def long(self, request: Request) -> Response:
        await request.body()
        return Response(b"long")

    async def unread(self) -> Response:
        """Answers late, and reads no body."""
        await self.is_open.wait()
        return Response(b"unread")


class Served:
    def __init__(self) -> None:
        self.ways = Ways()
        config = uvicorn.Config(
            self.ways.app,
            port=0,
            http=HotPathProtocol,
            access_log=False,
            proxy_headers=False,
            log_level="error",
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        wait_until(lambda: self.server.started)
        port = self.server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        await self.server.serve()

    @property
    def connections(self) -> list[Connection]:
        return [each for each in self.server.server_state.connections if isinstance(each, Connection)]

    def pay(self, body: bytes = b"short, later") -> None:
        """Answer what is owed, the last one first."""
        while self.ways.owed:
            self.loop.call_soon_threadsafe(self.ways.owed.pop(), body)

    def stop(self) -> None:
        self.server.should_exit = True


def request(body: bytes, *headers: str, path: str = PATH, method: str = "POST") -> bytes:
    return head(JSON, f"Content-Length: {len(body)}", *headers, path=path, method=method) + body


def receive_exactly(connection: socket.socket) -> bytes:
    """The body of the next answer, and no byte of the one behind it."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += connection.recv(1)
    length = int(data.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return connection.recv(length, socket.MSG_WAITALL)
