"""Everything that an API process has where services have quotas; without any there is none of it."""

import asyncio
from collections.abc import Collection, Iterable
from datetime import timedelta

from async_dedup import budget
from async_dedup.buffer import Buffer
from async_dedup.known import KnownIssues
from async_dedup.states import State
from async_dedup.throttle import Throttle
from shared.answer import now
from shared.db import make_background_engine
from shared.event import Event
from shared.quota import Quotas
from shared.settings import Settings


class Limits:
    """Rates and budgets of one process."""

    def __init__(self, settings: Settings, quotas: Quotas, buffer: Buffer) -> None:
        self.quotas = quotas
        self.throttle = Throttle(settings, quotas, buffer)
        self.known = KnownIssues()
        self._engine = make_background_engine(settings, 2)

    def may_be_new(self, event: Event) -> bool:
        """Whether its issue needs a place in a budget, as far as this process knows."""
        return (
            self.quotas.has_budgets
            and bool(self.quotas.of(event.service).new_issues)
            and not self.known.has(event.fingerprint)
        )

    def admitted(self, candidates: Iterable[str], folded: Collection[str]) -> None:
        """By MySQL."""
        self.known.add(each for each in candidates if each not in folded)

    async def tell_places(self) -> None:
        """MySQL knows then of those that were taken in Redis alone. Raises sqlalchemy's errors."""
        while untold := self.known.untold():
            await asyncio.to_thread(budget.tell, self._engine, untold)
            self.known.told(untold)

    def places(self) -> dict[str, int]:
        """Of each service within the window, as MySQL knows them. Raises sqlalchemy's errors; blocks."""
        with self._engine.connect() as connection:
            return budget.taken(connection, now() - timedelta(seconds=self.quotas.window))

    def ingest_is(self, state: State) -> None:
        self.throttle.ingest_is(state)
        if state is State.REDIS:
            self.redis_may_have_forgotten()

    def redis_may_have_forgotten(self) -> None:
        """What was used, and which places were taken: it is told with the services' next groups."""
        self.known.redis_may_have_forgotten()
        self.throttle.redis_may_have_forgotten()

    def redis_has_forgotten(self) -> None:
        """It has lost its data, of that there is no doubt."""
        self.known.redis_has_forgotten()
        self.redis_may_have_forgotten()
