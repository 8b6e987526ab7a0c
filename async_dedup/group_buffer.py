"""The API's side of Redis: a group of events in one round trip, counted once."""

import asyncio
import logging
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha1
from typing import Any
from uuid import uuid4

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError
from redis.exceptions import TimeoutError as RedisTimeout

from async_dedup.fates import Verdict
from async_dedup.ingest import Added
from async_dedup.keys import ADD, ADD_LIMITED, BATCH, BATCHES, BUFFER, FIRST_EVENTS, GROUP, MAX_FINGERPRINTS
from async_dedup.limits import Limits
from async_dedup.link import REFUSALS, Link, Unreached, Word, ask, connect, settle, tell
from async_dedup.verdict import Question, ask_for
from shared.event import Event
from shared.metrics import redis_operation_duration
from shared.pipeline_metrics import redis_forgot
from shared.settings import Settings

log = logging.getLogger(__name__)

KNOWN_PERIOD = 60.0
MAX_KNOWN = 100_000
"""Seconds, and fingerprints (20 MB), after which an API process sends each payload once more.

What it has forgotten costs an upsert, never a count.
"""

FORGOTTEN = -2

SHA = {script: sha1(script.encode(), usedforsecurity=False).hexdigest() for script in (ADD, ADD_LIMITED)}
"""EVALSHA's names for the scripts."""

ADD_DURATION = redis_operation_duration.labels("add")


class NobodyKnows(RedisError):
    """Whether a group was counted: it was sent, and the answer has not come."""


@dataclass(slots=True)
class Group:
    """A call of a script: its keys, its arguments behind the first, and what it tells that is new."""

    script: str
    events: Sequence[Event]
    keys: list[Word]
    arguments: list[Word]
    told: dict[str, bool]
    """By fingerprint, of those with a payload: whether there is a stack trace in it."""
    question: Question | None
    """What its services may have, where they have quotas."""
    unanswered: int = 0
    """How many tries were sent and have no answer."""

    def words(self, introduced: bool) -> list[Word]:
        return [len(self.keys), *self.keys, int(introduced), *self.arguments]


class GroupBuffer:
    """One connection, one group in flight."""

    def __init__(self, settings: Settings, limits: Limits | None = None) -> None:
        self._settings = settings
        self._limits = limits
        self.timeout = settings.redis_timeout
        self._start_process()

    def _start_process(self) -> None:
        """A process that forks shares nothing with its child: neither its connection nor its identity."""
        self._pid = os.getpid()
        self._link: Link | None = None
        self._start_anew()

    def _start_anew(self) -> None:
        self._process = uuid4().hex
        self._group = 0
        self._introduced = False
        self._known: dict[str, bool] = {}
        self._known_since = time.monotonic()

    async def add(self, events: Sequence[Event], seconds: float | None = None) -> int | Verdict:
        """Counts a group of events in one round trip; all are on disk when this returns.

        Of each fingerprint it sends the first payload, and once more the first that has a stack trace.

        Returns the number of payloads, or -1 where the first try had arrived after all; where a service has a
        quota, together with each event's fate.
        Raises redis.RedisError, after `seconds` (by default `timeout`) at most: NobodyKnows where they may
        have been counted, else they were not.
        """
        future: asyncio.Future[int | Verdict] = asyncio.get_running_loop().create_future()
        self.submit(events, self.timeout if seconds is None else seconds, settle(future))
        return await future

    def submit(self, events: Sequence[Event], seconds: float, added: Added) -> None:
        """The same for a caller that is no coroutine.

        While all is well there is no task and no future either: they were a fifth of a lone request's time.
        """
        started = time.perf_counter()

        def done(outcome: int | Verdict | Exception) -> None:
            ADD_DURATION.observe(time.perf_counter() - started)
            added(outcome)

        due = time.monotonic() + seconds
        if self._pid != os.getpid():
            self._start_process()
        group, link = self._next_group(events), self._link
        if link is None or not link.is_open or not self._introduced:
            self._see_through(group, None, due, done)
            return

        def answered(outcome: Any) -> None:
            timer.cancel()
            if is_answer(outcome):
                group.unanswered = 0
            if isinstance(outcome, Exception) or outcome == FORGOTTEN:
                self._see_through(group, outcome, due, done)
            else:
                done(self._told(group, outcome))

        def expire() -> None:
            link.abort()
            answered(RedisTimeout("Redis did not answer in time"))

        group.unanswered = 1
        link.call(("EVALSHA", SHA[group.script], *group.words(introduced=True)), answered)
        timer = asyncio.get_running_loop().call_later(seconds / 2, expire)

    def _see_through(self, group: Group, outcome: Any, due: float, done: Added) -> None:
        """For all that is not plain: a first connection, and whatever else a first try came to."""

        async def see() -> int | Verdict:
            try:
                return await self._add(group, outcome, due)
            except RedisError as error:
                # An error of another kind may come from the middle of the script.
                sure = isinstance(error, REFUSALS) and not group.unanswered
                raise error if sure else NobodyKnows(str(error)) from None

        self._seeing = asyncio.create_task(tell(see(), done))

    async def _add(self, group: Group, outcome: Any, due: float) -> int | Verdict:
        """Half of the time is kept for a second try, over a new connection."""
        try:
            async with asyncio.timeout((due - time.monotonic()) / 2):
                if outcome is None or isinstance(outcome, NoScriptError):
                    outcome = await self._send(group)
                elif isinstance(outcome, Exception):
                    raise outcome
                if outcome == FORGOTTEN:  # of a first try: nothing was counted
                    log.warning("Redis has come back without its newest data, or does not know this process")
                    redis_forgot.inc()
                    self._start_anew()
                    if self._limits:
                        self._limits.redis_has_forgotten()
                    anew = self._next_group(group.events)
                    group.script, group.keys, group.arguments = anew.script, anew.keys, anew.arguments
                    group.told, group.question = anew.told, anew.question
                    outcome = await self._send(group)
        except (RedisConnectionError, RedisTimeout, TimeoutError):
            outcome = await self._send_again(group, due - time.monotonic())
        if outcome == FORGOTTEN:
            raise RedisError("Redis can't tell any more whether it has counted the group")
        return self._counted(group, outcome)

    def _told(self, group: Group, outcome: Any) -> int | Verdict | Exception:
        """As `_counted`; a bug there is an answer, too: somebody waits for it."""
        try:
            return self._counted(group, outcome)
        except Exception as error:  # noqa: BLE001
            return error

    def _counted(self, group: Group, outcome: Any) -> int | Verdict:
        if group.question is None:
            self._known.update(group.told)
            return int(outcome)
        payloads, told = outcome
        verdict, known = group.question.read(payloads, told, group.told)
        self._known.update(known)
        return verdict

    async def _send_again(self, group: Group, seconds: float) -> Any:
        try:
            async with asyncio.timeout(seconds):
                return await self._send(group)
        except TimeoutError as error:
            failure = RedisTimeout if group.unanswered else Unreached
            raise failure("Redis did not answer in time") from error

    async def _send(self, group: Group) -> Any:
        link = await self._connect()
        words = group.words(self._introduced)
        self._introduced = True
        group.unanswered += 1
        try:
            outcome = await _evaluate(link, group.script, words)
        except RedisError as error:
            group.unanswered -= is_answer(error)
            raise
        group.unanswered -= 1
        return outcome

    async def _connect(self) -> Link:
        if self._link is None or not self._link.is_open:
            self._link = await connect(self._settings.redis_host, self._settings.redis_port)
        return self._link

    def _next_group(self, events: Sequence[Event]) -> Group:
        self._forget_known()
        self._group += 1
        group_id = uuid4().hex
        keys: list[Word] = [BUFFER, BATCHES, BATCH + group_id, FIRST_EVENTS, GROUP + self._process]
        arguments: list[Word] = [self._group, group_id, MAX_FINGERPRINTS]
        told: dict[str, bool] = {}
        found, question = by_fingerprint(events), None
        if self._limits:
            question = ask_for(self._limits, events, found, self._known)
        # Without its payload an issue's place would not be noted.
        candidates = question.candidates if question else ()
        if question:
            keys += question.keys
            arguments += question.words
        else:
            arguments.append(0)
        for fingerprint, (count, event) in found.items():
            payload, has_trace = "", event.stack_trace is not None
            known = self._known.get(fingerprint)
            if known is None or (has_trace and not known) or fingerprint in candidates:
                payload, told[fingerprint] = event.model_dump_json(by_alias=True), has_trace
            arguments += (bytes.fromhex(fingerprint), count, payload)
        return Group(ADD_LIMITED if question else ADD, events, keys, arguments, told, question)

    def _forget_known(self) -> None:
        if time.monotonic() - self._known_since > KNOWN_PERIOD or len(self._known) > MAX_KNOWN:
            self._known_since = time.monotonic()
            self._known.clear()

    def forget(self, fingerprints: Iterable[str]) -> None:
        """Their next events bring their payloads once more."""
        for fingerprint in fingerprints:
            self._known.pop(fingerprint, None)

    async def close(self) -> None:
        if self._link:
            self._link.abort()


async def _evaluate(link: Link, script: str, words: list[Word]) -> Any:
    try:
        return await ask(link, "EVALSHA", SHA[script], *words)
    except NoScriptError:
        return await ask(link, "EVAL", script, *words)


def is_answer(outcome: object) -> bool:
    """Whether Redis has said so itself. (Of redis-py's errors LOADING is one of the connection's.)"""
    return isinstance(outcome, REFUSALS) or not isinstance(outcome, RedisConnectionError | RedisTimeout)


def by_fingerprint(events: Sequence[Event]) -> dict[str, tuple[int, Event]]:
    """How many there are of each, and the first that has a stack trace, or else the first."""
    found: dict[str, tuple[int, Event]] = {}
    for event in events:
        count, first = found.get(event.fingerprint, (0, event))
        if first.stack_trace is None and event.stack_trace is not None:
            first = event
        found[event.fingerprint] = count + 1, first
    return found
