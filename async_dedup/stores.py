"""Where a group of events is kept: in Redis, else in MySQL, else in the spool, as the states say.

While Redis is well a group costs one comparison here. Once a store has failed, a probe decides whether it
is left, and no other group is risked: so one group at most waits for a time-out, and one at most ends with
"nobody can tell".
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import count

from redis.exceptions import NoPermissionError, OutOfMemoryError, RedisError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from async_dedup import budget, direct
from async_dedup.aside import Aside
from async_dedup.fates import Verdict
from async_dedup.group_buffer import GroupBuffer, NobodyKnows
from async_dedup.ingest import NOT_KEPT, Added
from async_dedup.keys import FLUSHED_AT
from async_dedup.limits import Limits
from async_dedup.link import Outcome, ask, connect, tell
from async_dedup.replay import Replay
from async_dedup.spool import Record, Spool, SpoolFull, size
from async_dedup.states import Part, State, States
from shared.answer import now, unavailable
from shared.db import is_refusal, make_background_engine
from shared.event import Event
from shared.pipeline_metrics import events_direct, events_spooled, ingest_state, spool_bytes, state_changes
from shared.processes import show
from shared.settings import Settings

log = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds that an event may wait besides one for Redis: for MySQL's time-out, and the probes."""
PROBE_SECONDS = 0.25
"""Of a store that has just failed."""
ROOM = 0.05
"""Share of its memory that a Redis must have free once it has failed. At the bound itself events went to and
fro, 17 times in 90 s."""
LOOK_EVERY = 0.5
"""Seconds between two probes of a store that was left."""
LOOKS_FOR_OTHERS = 10
"""After so many looks one is for what another process may have left in the spool: it reads a folder."""
TRIES = 10


class Stores:
    """For `Ingest`, which has one group at a time in flight."""

    def __init__(self, settings: Settings, buffer: GroupBuffer, limits: Limits | None = None) -> None:
        self.timeout = settings.redis_timeout + PATIENCE
        self._settings = settings
        self._limits = limits
        self._quotas = limits.quotas if limits else None
        self._buffer = buffer
        self._engine, self._replay_engine, self._probe_engine = (
            make_background_engine(settings, direct.STATEMENT_SECONDS) for _ in range(3)
        )
        self._spool = Spool(settings.spool_folder, settings.spool_bytes)
        self._replay = Replay(settings.spool_folder, self._replay_engine, self._quotas)
        self._thread = ThreadPoolExecutor(1, "store")
        self._asking: asyncio.Future[SQLAlchemyError | None] | None = None
        self._states = States(time.monotonic())
        self._direct_since = 0.0
        self.since = now()
        """When the state was entered; UTC."""
        for state in State:
            state_changes.labels(state)
            show(ingest_state.labels(state), partial(self._is_in, state))
        show(spool_bytes, partial(size, settings.spool_folder))

    @property
    def state(self) -> State:
        return self._states.state

    @property
    def reason(self) -> str:
        return self._states.reason

    def _is_in(self, state: State) -> float:
        return float(self.state is state)

    def has_room(self) -> bool:
        """Whether the spool could keep an event."""
        return self._spool.has_room()

    def submit(self, events: Sequence[Event], seconds: float, added: Added) -> None:
        """Keep a group, and tell how many payloads Redis got, or what went wrong."""
        if self._states.state is State.REDIS and not self._states.in_doubt:
            self._buffer.submit(
                events, min(seconds, self._buffer.timeout), partial(self._landed, events, added)
            )
        else:
            self._keep_aside(events, added)

    def _landed(self, events: Sequence[Event], added: Added, outcome: int | Verdict | Exception) -> None:
        if not isinstance(outcome, RedisError):
            added(outcome)
            return
        self._failed("redis", outcome)
        if isinstance(outcome, NobodyKnows):
            added(outcome)
        else:
            self._keep_aside(events, added)

    def _keep_aside(self, events: Sequence[Event], added: Added) -> None:
        self._keeping = asyncio.create_task(tell(self._keep(events), added))

    async def _keep(self, events: Sequence[Event]) -> int | Verdict:
        """Raises Refused, or redis.RedisError, where nobody can keep them, or nobody knows."""
        aside: Aside | None = None
        may_be_in_mysql = False
        for _ in range(TRIES):
            await self._resolve_doubt()
            # What may be in MySQL already can only go on under its id, which Redis has no memory of.
            state = State.SPOOL if may_be_in_mysql and self.state is State.REDIS else self.state
            try:
                if state is State.REDIS:
                    payloads = await self._buffer.add(events)
                    self._answered("redis")
                    return payloads
                aside = aside or Aside(events, self._limits)
                return aside.kept(await self._keep_record(aside.record, state))
            except RedisError as error:
                self._failed("redis", error)
                if isinstance(error, NobodyKnows):
                    raise
            except SQLAlchemyError as error:
                if isinstance(error, DBAPIError) and is_refusal(error):
                    log.error("MySQL does not take an event of this group: %s", error.orig)
                    raise unavailable(NOT_KEPT) from error
                may_be_in_mysql = True
                self._failed("mysql", error)
            except (OSError, SpoolFull) as error:
                log.error("%d events could not be spooled: %s", len(events), error)
                raise unavailable(NOT_KEPT) from error
        raise unavailable(NOT_KEPT)

    async def _keep_record(self, record: Record, state: State) -> set[str]:
        """Returns the fingerprints that were folded; what is in the spool is so when it is replayed."""
        folded = set[str]()
        if not record.counted:  # all of it was throttled
            return folded
        if state is State.DIRECT:
            await self._settled(record)
            folded = await self._in_thread(lambda: direct.write(self._engine, [record], self._quotas))
            self._answered("mysql")
            events_direct.inc(record.events)
            if self._limits:
                self._limits.admitted(record.candidates, folded)
        else:
            await self._in_thread(lambda: self._spool.append(record))
            events_spooled.inc(record.events)
        return folded

    async def _settled(self, record: Record) -> None:
        """Before MySQL is asked for places: it knows of those that were taken in Redis alone."""
        if self._limits is None:
            return
        await self._limits.tell_places()  # of what is known, too: with an issue a place would not be noted
        if record.candidates:
            await asyncio.sleep(self._direct_since + budget.SETTLE - time.monotonic())
            await self._limits.tell_places()  # of events that were on their way to Redis

    async def _tell_places(self) -> None:
        if self._limits:
            with suppress(SQLAlchemyError):  # the next look tries again
                await self._limits.tell_places()

    async def _resolve_doubt(self) -> None:
        """A store that has failed once answers now, or has failed often enough."""
        while self._states.in_doubt:
            if self.state is State.REDIS:
                await self._probe_redis()
            else:
                await self._probe_mysql()

    async def _probe_redis(self) -> None:
        """By a write: a full Redis, and one that is only a replica, answer PING.

        And by its room: where it is full, a little is free every other moment, and the next group fills it.
        """
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                link = await connect(self._settings.redis_host, self._settings.redis_port)
                try:
                    await ask(link, "APPEND", FLUSHED_AT, "")
                    with suppress(NoPermissionError):  # of its room it may not tell
                        check_room(await ask(link, "INFO", "memory"))
                finally:
                    link.abort()
        except (RedisError, TimeoutError) as error:
            self._failed("redis", error)
        else:
            self._answered("redis")

    async def _probe_mysql(self) -> None:
        if self._asking is None or self._asking.done():  # one that hangs is asked no more
            self._asking = asyncio.ensure_future(asyncio.to_thread(self._is_mysql_there))
        done, _ = await asyncio.wait([self._asking], timeout=PROBE_SECONDS)
        if error := self._asking.result() if done else TimeoutError("no answer in time"):
            self._failed("mysql", error)
        else:
            self._answered("mysql")

    def _is_mysql_there(self) -> SQLAlchemyError | None:
        try:
            direct.probe(self._probe_engine)
        except SQLAlchemyError as error:
            return error
        return None

    def _failed(self, part: Part, error: Exception) -> None:
        reason = f"{'Redis' if part == 'redis' else 'MySQL'}: {_reason(error)}"
        self._tell(lambda: self._states.failed(part, reason, time.monotonic()))

    def _answered(self, part: Part) -> None:
        self._tell(lambda: self._states.answered(part, time.monotonic()))

    def _tell(self, change: Callable[[], None]) -> None:
        before, since = self.state, self.since
        change()
        if self.state is before:
            return
        self.since = now()
        if self.state is State.DIRECT:
            self._direct_since = time.monotonic()
        if self._limits:
            self._limits.ingest_is(self.state)
        state_changes.labels(self.state).inc()
        seconds = (self.since - since).total_seconds()
        log.warning("Events go to %s, after %.1f s of %s%s", self.state, seconds, before, self._because())

    def _because(self) -> str:
        return f" ({self.reason})" if self.reason else ""

    async def _in_thread(self, work: Callable[[], Outcome]) -> Outcome:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def watch(self) -> None:
        """For as long as the process runs: looks whether a store is back, and replays what was spooled.

        Whatever the state, MySQL is told of the places that Redis gives alone: by those who are idle, too.
        """
        replaying = asyncio.create_task(self._replay_all())
        telling = asyncio.create_task(self._tell_places())
        for look in count(1):
            await asyncio.sleep(LOOK_EVERY)
            with suppress(Exception):  # whatever it is: nobody would start this task again
                if telling.done():
                    telling = asyncio.create_task(self._tell_places())
                has_spooled = self.state is State.SPOOL
                await self._look()
                is_due = has_spooled or look % LOOKS_FOR_OTHERS == 0
                if is_due and self.state is not State.SPOOL and replaying.done():
                    replaying = asyncio.create_task(self._replay_all())

    async def _look(self) -> None:
        if self.state is not State.REDIS:
            await self._probe_redis()
        if self.state is State.SPOOL:
            await self._probe_mysql()

    async def _replay_all(self) -> None:
        with suppress(RedisError, SQLAlchemyError, OSError):  # the next look tries again
            if await asyncio.to_thread(self._replay.waiting):
                if self._limits:  # MySQL was away when the places that Redis gave were to be noted there
                    await self._tell_places()
                    await asyncio.sleep(budget.SETTLE)
                # The thread's, as a group that is being appended: it is never in the middle of one.
                await self._in_thread(self._spool.close)
                await asyncio.to_thread(self._replay.run)

    async def close(self) -> None:
        self._replay.stop()
        await self._buffer.close()
        self._thread.shutdown()
        self._spool.close()


def check_room(memory: bytes) -> None:
    """Raises redis.OutOfMemoryError where less than ROOM is free. `memory` is that section of INFO."""
    told = dict(line.split(b":", 1) for line in memory.splitlines() if b":" in line)
    most, used = int(told[b"maxmemory"]), int(told[b"used_memory"])
    if most and used > most * (1 - ROOM):
        raise OutOfMemoryError(f"{used:,} of {most:,} bytes (maxmemory) are used")


def _reason(error: Exception) -> str:
    """Without a statement or its parameters."""
    if isinstance(error, DBAPIError):
        return str(error.orig)
    return str(error) or type(error).__name__
