"""What each service has used of its rate, as this process knows it: GCRA, without I/O. Times in seconds.

While Redis decides, it tells how far ahead each service is, and this is a copy, a tenth of a second old.
Without Redis this decides, by what this process has let through, and what its peers have told of theirs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from shared.quota import CLOSE, MAX_SERVICES, OTHERS, Quotas

LOOK_EVERY = 1.0
"""Seconds between two looks for services that can be forgotten."""
MOST_HEARD = 100
"""Questions by which it is told apart what was heard: more than are asked before an answer is read."""


@dataclass(slots=True)
class Bucket:
    arrival: float = 0.0
    """The theoretical arrival time, by the clock of `now`."""
    passed: int = 0
    """Events that this process has let through by itself: it only grows, so that peers see what is new."""
    throttled: int = 0
    folded: int = 0
    changed: float = 0.0
    heard: dict[int, float] = field(default_factory=dict)
    """Seconds that peers have told of, by the last question to Redis before: it was not in that one yet."""
    counted: tuple[int, int, int] = (0, 0, 0)
    """What of `passed`, `throttled` and `folded` Redis has counted as well."""


class Buckets:
    """Of MAX_SERVICES, and those that have a quota of their own; who else comes is one of the others."""

    def __init__(self, quotas: Quotas, memory: float) -> None:
        """A service that has used nothing for `memory` may be forgotten."""
        self._quotas = quotas
        self._memory = memory
        self._of: dict[str, Bucket] = {}
        self.untold: set[str] = set()
        """Services of which Redis may not have heard all."""
        self._questions = 0
        """That Redis was asked."""
        self._full_until = 0.0

    def __iter__(self) -> Iterator[tuple[str, Bucket]]:
        return iter([*self._of.items()])

    def take(self, service: str, share: float, now: float) -> float:
        """Lets an event pass and returns 0, or how long its service has to wait. `share`: of its rate."""
        name, quota = self._name(service, now), self._quotas.of(service)
        bucket = self._of[name]
        if not quota.rate:
            bucket.passed += 1
            return 0.0
        arrival = max(bucket.arrival, now)
        wait = arrival - now - quota.tolerance(share)
        if wait > CLOSE:
            bucket.throttled += 1
            return wait
        bucket.passed += 1
        bucket.arrival, bucket.changed = arrival + quota.interval(share), now
        self.untold.add(name)
        return 0.0

    def next_question(self) -> int:
        """Return its number."""
        self._questions += 1
        return self._questions

    def told(self, service: str, ahead: float, now: float, question: int) -> None:
        """By Redis: it is the truth, but for what was heard since the question."""
        name = self._name(service, now)
        bucket = self._of[name]
        bucket.arrival, bucket.changed = now + ahead, now
        if bucket.heard:
            bucket.heard = {number: each for number, each in bucket.heard.items() if number >= question}
            bucket.arrival += sum(bucket.heard.values())
        if not bucket.heard:
            self.untold.discard(name)

    def redis_may_have_forgotten(self) -> None:
        """It is told of everybody once more."""
        self.untold.update(self._of)

    def forget_past(self, now: float) -> None:
        """What time has passed by need not be told."""
        for name in [*self.untold]:
            bucket = self._of.get(name)
            if bucket is None or bucket.arrival <= now:
                self.untold.discard(name)
                if bucket:
                    bucket.heard.clear()

    def at_least(self, service: str, ahead: float, now: float, is_news: bool = False) -> None:
        """By whoever knows that so much is used."""
        name = self._name(service, now)
        bucket = self._of[name]
        if now + ahead > bucket.arrival + CLOSE:
            bucket.arrival, bucket.changed = now + ahead, now
            if is_news:
                self.untold.add(name)

    def elsewhere(self, service: str, events: int, share: float, now: float, most: float) -> None:
        """What a peer has let through by itself comes on top: each process keeps the sum of all.

        But for what is more than `most` seconds ahead.
        """
        if interval := self._quotas.of(service).interval(share):
            name = self._name(service, now)
            bucket = self._of[name]
            before = max(bucket.arrival, now)
            bucket.arrival, bucket.changed = max(min(before + events * interval, now + most), before), now
            more = bucket.arrival - before
            bucket.heard[self._questions] = bucket.heard.get(self._questions, 0.0) + more
            if len(bucket.heard) > MOST_HEARD:
                first, second, *_ = bucket.heard
                bucket.heard[second] += bucket.heard.pop(first)
            self.untold.add(name)

    def fold(self, service: str, now: float) -> None:
        self._of[self._name(service, now)].folded += 1

    def count(self, tell: Callable[[dict[str, tuple[int, int, int]]], None]) -> None:
        """By service, how many have passed, were throttled and folded without Redis since they were told."""
        found, told = {}, []
        for name, bucket in self:
            counts = bucket.passed, bucket.throttled, bucket.folded
            if counts != bucket.counted:
                passed, throttled, folded = (
                    each - before for each, before in zip(counts, bucket.counted, strict=True)
                )
                found[name] = passed, throttled, folded
                told.append((bucket, counts))
        if found:
            tell(found)
        for bucket, counts in told:
            bucket.counted = counts

    def news(self, service: str, now: float) -> float:
        """How far ahead it is where Redis has not heard of it, else 0."""
        return max(self._of[service].arrival - now, 0.0) if service in self.untold else 0.0

    def left(self, service: str, share: float, now: float) -> int | None:
        """Events that it may send at this moment; None where it has no limit."""
        bucket = self._of.get(service)
        return self._quotas.of(service).events_left(bucket.arrival - now if bucket else 0.0, share)

    def _name(self, service: str, now: float) -> str:
        """Under which it is kept, from here on at the latest."""
        if service not in self._of:
            if len(self._of) >= MAX_SERVICES and not self._quotas.is_named(service):
                self._forget_idle(now)
                service = service if len(self._of) < MAX_SERVICES else OTHERS
            self._of.setdefault(service, Bucket(changed=now))
        return service

    def _forget_idle(self, now: float) -> None:
        """Not for each stranger: to look through all of them takes 150 us."""
        if now < self._full_until:
            return
        self._full_until = now + LOOK_EVERY
        since = now - self._memory
        self._of = {name: each for name, each in self._of.items() if max(each.arrival, each.changed) >= since}
        self.untold &= self._of.keys()
