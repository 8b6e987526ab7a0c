"""What each service has used of its rate, as this process knows it: GCRA, without I/O. Times in seconds.

While Redis decides, it tells how far ahead each service is, and this is a copy. Without Redis this decides,
by what this process has let through, and what its peers have told of theirs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from shared.quota import CLOSE, MAX_SERVICES, OTHERS, Quotas


@dataclass(slots=True)
class Bucket:
    arrival: float = 0.0
    """The theoretical arrival time, by the clock of `now`."""
    passed: int = 0
    """Events that this process has let through by itself: it only grows, so that peers see what is new."""
    throttled: int = 0
    is_news: bool = False
    """Whether Redis has not heard of it yet."""
    changed: float = 0.0


class Buckets:
    """Of MAX_SERVICES, and those that have a quota of their own; who else comes is one of the others."""

    def __init__(self, quotas: Quotas, memory: float) -> None:
        """A service that has used nothing for `memory` may be forgotten."""
        self._quotas = quotas
        self._memory = memory
        self._of: dict[str, Bucket] = {}
        self.has_news = False
        """Whether there is something that Redis may not have heard of."""

    def __iter__(self) -> Iterator[tuple[str, Bucket]]:
        return iter([*self._of.items()])

    def take(self, service: str, share: float, now: float) -> float:
        """Lets an event pass and returns 0, or how long its service has to wait. `share`: of its rate."""
        bucket, quota = self._bucket(service, now), self._quotas.of(service)
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
        bucket.is_news = self.has_news = True
        return 0.0

    def told(self, service: str, ahead: float, now: float) -> None:
        """By Redis: it is the truth, whatever was believed here."""
        bucket = self._bucket(service, now)
        bucket.arrival, bucket.is_news, bucket.changed = now + ahead, False, now
        self.has_news = self.has_news and any(
            each.is_news and each.arrival > now for each in self._of.values()
        )

    def at_least(self, service: str, ahead: float, now: float, is_news: bool = False) -> None:
        """By whoever knows that so much is used."""
        bucket = self._bucket(service, now)
        if now + ahead > bucket.arrival + CLOSE:
            bucket.arrival, bucket.changed = now + ahead, now
            bucket.is_news = bucket.is_news or is_news
            self.has_news = self.has_news or is_news

    def elsewhere(self, service: str, events: int, share: float, now: float) -> None:
        """What a peer has let through by itself comes on top: each process keeps the sum of all."""
        if interval := self._quotas.of(service).interval(share):
            bucket = self._bucket(service, now)
            bucket.arrival = max(bucket.arrival, now) + events * interval
            bucket.is_news, bucket.changed, self.has_news = True, now, True

    def news(self, service: str, now: float) -> float:
        """How far ahead it is where Redis has not heard of it, else 0."""
        bucket = self._of.get(service)
        return max(bucket.arrival - now, 0.0) if bucket and bucket.is_news else 0.0

    def left(self, service: str, share: float, now: float) -> int | None:
        """Events that it may send at this moment; None where it has no limit."""
        bucket = self._of.get(service)
        return self._quotas.of(service).events_left(bucket.arrival - now if bucket else 0.0, share)

    def _bucket(self, service: str, now: float) -> Bucket:
        bucket = self._of.get(service)
        if bucket is None:
            if len(self._of) >= MAX_SERVICES and not self._quotas.is_named(service):
                self._forget_idle(now)
                service = service if len(self._of) < MAX_SERVICES else OTHERS
            bucket = self._of.setdefault(service, Bucket(changed=now))
        return bucket

    def _forget_idle(self, now: float) -> None:
        since = now - self._memory
        self._of = {name: each for name, each in self._of.items() if max(each.arrival, each.changed) >= since}
