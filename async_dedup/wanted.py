"""Payloads that are missing in MySQL are asked for, so that a row that was deleted there is whole again.

An API process leaves out what it has told, and knows of no DELETE. So the scheduler looks for rows that count
and have no message though no first event waits for them, and every API process tells those once more.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

from redis import RedisError
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from async_dedup.buffer import Buffer
from async_dedup.group_buffer import GroupBuffer
from async_dedup.keys import MAX_FINGERPRINTS
from shared.model import Issue

INTERVAL = 0.5
"""Seconds between two looks, of the scheduler and of each API process."""
AGAIN = 2.0
"""Seconds after which what was told and is still wanted is told again: it may have been deleted once more."""
GIVE_UP = 3600.0
"""Seconds after which nobody is likely to see that error again, and to know its message."""


class Missing:
    """The scheduler's side. It lives in memory: asked anew, a payload costs an upsert, and never a count."""

    def __init__(self, buffer: Buffer, engine: Engine) -> None:
        self._buffer = buffer
        self._engine = engine
        self._flushed: dict[str, float] = {}

    def look_for(self, fingerprints: Iterable[str]) -> None:
        """Rows that a flush may just have made, without a message."""
        now = time.monotonic()
        for fingerprint in fingerprints:
            if len(self._flushed) < MAX_FINGERPRINTS:
                self._flushed.setdefault(fingerprint, now)

    def ask(self) -> None:
        """Asks for the payloads that no first event will bring: all from before the flush are digested."""
        if self._flushed:
            with suppress(RedisError, SQLAlchemyError):  # the tick says so
                self._ask()

    def _ask(self) -> None:
        waiting_since = time.monotonic() - self._buffer.state().queue_age
        due = [each for each, flushed in self._flushed.items() if flushed < waiting_since]
        missing = self._without_message(due)
        for each in due:
            if each not in missing or self._flushed[each] < time.monotonic() - GIVE_UP:
                del self._flushed[each]
        self._buffer.want(missing)

    def _without_message(self, fingerprints: Sequence[str]) -> set[str]:
        if not fingerprints:
            return set()
        statement = select(Issue.fingerprint).where(
            Issue.fingerprint.in_(fingerprints), func.char_length(Issue.message) == 0
        )
        with self._engine.connect() as connection:
            return {*connection.scalars(statement)}


async def tell_again(buffer: Buffer, known: GroupBuffer) -> None:
    """The API's side, for as long as it runs. What is wanted is forgotten, so told with its next event."""
    told: dict[str, float] = {}
    while True:
        await asyncio.sleep(INTERVAL)
        with suppress(Exception):  # whatever it is: nobody would start this task again
            wanted = await asyncio.to_thread(buffer.wanted)
            now = time.monotonic()
            due = {each for each in wanted if now - told.get(each, -AGAIN) >= AGAIN}
            known.forget(due)
            told = {each: now if each in due else told[each] for each in wanted}
