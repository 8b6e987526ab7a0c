"""What each service sends, and whether it may: in this process's own memory, as in most first versions."""

import time
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from shared.metrics import events_folded
from shared.quota import MAX_SERVICES, OTHERS, Quota, Quotas, throttled


class Window(RateLimitItemPerSecond):
    """`burst` events in any `burst / rate` seconds; of itself the library has whole seconds only."""

    __slots__ = ("seconds",)

    def __init__(self, quota: Quota) -> None:
        super().__init__(quota.burst)
        self.seconds = quota.burst / quota.rate

    def get_expiry(self) -> float:  # type: ignore[override] # its memory takes any number
        return self.seconds


@dataclass
class Use:
    """Of one service, for as long as it is remembered."""

    quota: Quota
    window: Window | None
    """None where it has no rate."""
    events: int = 0
    throttled: int = 0
    folded: int = 0

    @property
    def sent(self) -> int:
        return self.events + self.throttled


class Throttle:
    """Of the library's strategies the moving window: alone it never lets through more than `burst` at once.

    Its price is a number for each event in the window.
    """

    def __init__(self, quotas: Quotas) -> None:
        self.quotas = quotas
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._uses: OrderedDict[str, Use] = OrderedDict()
        """Who was silent for the longest is the first."""
        self._lock = Lock()

    def let_through(self, service: str) -> None:
        """Counts an event. Raises Refused (429) where its service sends more than it may."""
        if not self.quotas.of(service).is_any:
            return
        with self._lock:
            name, use = self._remember(service)
            if use.window and not self._limiter.hit(use.window, name):
                use.throttled += 1
                again = self._limiter.get_window_stats(use.window, name).reset_time
                raise throttled(use.quota, again - time.time())
            use.events += 1

    def fold(self, service: str) -> None:
        """Counts an event that is on its service's overflow issue now."""
        events_folded.inc()
        with self._lock:
            self._remember(service)[1].folded += 1

    def uses(self) -> list[tuple[str, Use]]:
        """Return each service with what it has sent, who sent most first; MAX_SERVICES at most."""
        with self._lock:
            found = sorted(self._uses.items(), key=lambda each: (-each[1].sent, each[0]))
        return found[:MAX_SERVICES]

    def left(self, name: str, use: Use) -> int | None:
        """Return how many events it may send at this moment; None: as many as it likes."""
        return self._limiter.get_window_stats(use.window, name).remaining if use.window else None

    def _remember(self, service: str) -> tuple[str, Use]:
        """Return its name and its use; those of all others together where too many are remembered."""
        if service not in self._uses and not self.quotas.is_named(service) and not self._has_room():
            service = OTHERS
        if service not in self._uses:
            quota = self.quotas.of(service)
            self._uses[service] = Use(quota, Window(quota) if quota.rate else None)
        self._uses.move_to_end(service)
        return service, self._uses[service]

    def _has_room(self) -> bool:
        """Makes some where it can: to forget a service whose window is not empty would be a second burst."""
        if len(self._uses) < MAX_SERVICES:
            return True
        name, use = next(iter(self._uses.items()))
        if use.window:
            if self.left(name, use) != use.window.amount:
                return False
            self._limiter.clear(use.window, name)  # the library itself keeps each name for ever
        del self._uses[name]
        return True
