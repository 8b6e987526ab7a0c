"""The bare connection from the API to Redis: one command in flight, a callback for its answer.

What redis-py puts around a call (streams, a lock, a task for each timeout) was 8 % of all CPU of an event at
200 and 500 users. It keeps all other calls.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar, cast

import hiredis
from redis import exceptions


class Unreached(exceptions.ConnectionError):
    """No connection came about, so nothing was sent."""


class Refusal(exceptions.ResponseError):
    """Redis takes no writes just now."""


ERRORS = {
    "LOADING": exceptions.BusyLoadingError,
    "NOPERM": exceptions.NoPermissionError,
    "NOSCRIPT": exceptions.NoScriptError,
    "OOM": exceptions.OutOfMemoryError,
    "READONLY": exceptions.ReadOnlyError,
    **dict.fromkeys(("BUSY", "MASTERDOWN", "MISCONF", "NOAUTH", "NOREPLICAS"), Refusal),
}
"""By the first word of Redis's answer, as redis-py has them where it has one."""
REFUSALS = (
    *(exceptions.BusyLoadingError, exceptions.OutOfMemoryError, exceptions.ReadOnlyError),
    *(Refusal, Unreached),
)
"""After which nothing was written: Redis checks for them before a script's first write."""

Outcome = TypeVar("Outcome")
Word = bytes | str | int
Answered = Callable[[Any], None]
"""Told the reply, or the exception: redis.RedisError."""


async def connect(host: str, port: int) -> "Link":
    """Raises Unreached."""
    try:
        _, link = await asyncio.get_running_loop().create_connection(Link, host, port)
    except OSError as error:
        raise Unreached(f"Redis can't be reached: {error}") from error
    return link


async def tell(work: Coroutine[Any, Any, Outcome], done: Callable[[Outcome | Exception], None]) -> None:
    """`done` gets what came of `work`, whatever that is: somebody waits for it."""
    outcome: Outcome | Exception
    try:
        outcome = await work
    except Exception as error:  # noqa: BLE001
        outcome = error
    done(outcome)


class Link(asyncio.Protocol):
    """One connection, from its making to its end."""

    is_open = False

    def __init__(self) -> None:
        self._reader = hiredis.Reader(protocolError=exceptions.InvalidResponse, replyError=_error)
        self._answered: Answered | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self.is_open = True

    def call(self, command: Sequence[Word], answered: Answered) -> None:
        """Send it while the link is open; `answered` is told once, unless the link is aborted before."""
        self._answered = answered
        self._transport.write(hiredis.pack_command(tuple(command)))  # type: ignore[arg-type] # takes bytes

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            reply = self._reader.gets()
        except exceptions.InvalidResponse as error:
            self._end(error)
            return
        if reply is not False:  # else there is more to come
            self._tell(reply)

    def connection_lost(self, _: Exception | None) -> None:
        self._end(exceptions.ConnectionError("Redis has closed the connection"))

    def _end(self, error: Exception) -> None:
        self.is_open = False
        self._transport.abort()
        self._tell(error)

    def _tell(self, outcome: object) -> None:
        answered, self._answered = self._answered, None
        if answered is not None:
            answered(outcome)

    def abort(self) -> None:
        """Drop what was not sent yet, too: else it stays in memory until a Redis that is frozen thaws."""
        self.is_open, self._answered = False, None
        self._transport.abort()


def _error(text: str) -> exceptions.RedisError:
    return ERRORS.get(text.partition(" ")[0], exceptions.ResponseError)(text)


async def ask(link: Link, *command: Word) -> Any:
    """Return the reply. Raises redis.RedisError; who is cancelled meanwhile aborts the link."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    link.call(command, settle(future))
    try:
        return await future
    except asyncio.CancelledError:
        link.abort()
        raise


def settle(future: "asyncio.Future[Any]") -> Answered:
    """Return the callback that ends the wait for `future`; nothing where nobody waits any more."""

    def answered(outcome: object) -> None:
        if future.done():
            return
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    return answered
