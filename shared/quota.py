"""What a service may send and create: its rate and its budget of new issues. Both twins keep to them."""

from functools import lru_cache
from math import ceil
from typing import NamedTuple

from shared.answer import Refused
from shared.event import Event
from shared.settings import OTHERS as OTHERS  # noqa: PLC0414 - beside what is said of them
from shared.settings import Settings

OVERFLOW = "More new issues than this service may create"
"""The message of the issue on which a service's folded events count. It is in nobody's budget."""
MAX_SERVICES = 1_000
"""Services that are remembered at a time. Others that come meanwhile, and have no quota of their own, share
one: who invents services gets no more than that."""
CLOSE = 1e-9
"""Of two times that are the same but for the rounding."""


MOST_BURSTS = 5
"""That a service may be ahead, once processes that did not know of each other have let events through."""


class Quota(NamedTuple):
    rate: float
    """Events a second; 0: as many as it likes."""
    burst: int
    """Events at once."""
    new_issues: int
    """In any window; 0: as many as it likes."""

    @property
    def is_any(self) -> bool:
        return bool(self.rate or self.new_issues)

    def interval(self, share: float = 1.0) -> float:
        """Seconds between two events at `share` of the rate; 0 where there is none."""
        return 1 / (self.rate * share) if self.rate else 0.0

    def tolerance(self, share: float = 1.0) -> float:
        """Seconds by which an event may come before its turn: the burst."""
        return (max(self.burst * share, 1) - 1) * self.interval(share)

    def most_ahead(self, share: float = 1.0, bursts: int = MOST_BURSTS) -> float:
        """Seconds: more is of another rate than today's, or of a clock that was set back."""
        return bursts * (self.tolerance(share) + self.interval(share))

    def events_left(self, ahead: float, share: float = 1.0) -> int | None:
        """That may be sent at once by who is so many seconds ahead; None where there is no rate."""
        if not self.rate:
            return None
        return max(int(max(self.burst * share, 1) - max(ahead, 0.0) * self.rate * share + CLOSE), 0)

    def new_issues_left(self, created: int) -> int | None:
        """None where it has no budget."""
        return max(self.new_issues - created, 0) if self.new_issues else None


class Quotas:
    """By service."""

    def __init__(self, settings: Settings) -> None:
        self._default = _quota(settings.rate_limit, settings.rate_burst, settings.new_issues)
        self._own = {
            service: _quota(
                settings.rate_limit if own.rate_limit is None else own.rate_limit,
                settings.rate_burst if own.rate_burst is None else own.rate_burst,
                settings.new_issues if own.new_issues is None else own.new_issues,
            )
            for service, own in settings.services.items()
        }
        every = (self._default, *self._own.values())
        self.window = settings.new_issues_window
        """Seconds."""
        self.has_rates = any(quota.rate for quota in every)
        self.has_budgets = any(quota.new_issues for quota in every)

    @property
    def is_any(self) -> bool:
        return self.has_rates or self.has_budgets

    def of(self, service: str) -> Quota:
        return self._own.get(service, self._default)

    def is_named(self, service: str) -> bool:
        """Whether it has a quota of its own, and so never shares one."""
        return service in self._own


def _quota(rate: float, burst: int, new_issues: int) -> Quota:
    return Quota(rate, burst or max(ceil(rate), 1), new_issues)


def throttled(quota: Quota, wait: float) -> Refused:
    """429, `wait` in seconds; its fields are those of draft-ietf-httpapi-ratelimit-headers."""
    seconds = max(ceil(wait), 1)
    return Refused(
        429,
        "The service sends more events than it may",
        headers={
            "Retry-After": str(seconds),
            "RateLimit-Policy": f'"service";q={quota.burst};w={max(ceil(quota.burst / quota.rate), 1)}',
            "RateLimit": f'"service";r=0;t={seconds}',
        },
    )


@lru_cache(MAX_SERVICES)
def overflow(service: str) -> Event:
    return Event(message=OVERFLOW, service=service)
