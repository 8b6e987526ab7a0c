"""What services have sent and have left, for `GET /api/v1/services`."""

import time
from contextlib import suppress

from redis import RedisError
from sqlalchemy.exc import SQLAlchemyError

from async_dedup.buffer import Buffer, Used
from async_dedup.limits import Limits
from async_dedup.modes import Mode
from shared.quota import MAX_SERVICES
from shared.services import Services, ServiceView


def view(limits: Limits | None, buffer: Buffer) -> Services:
    """Of all processes while Redis is there; without it what this one knows."""
    if limits is None:
        return Services(services=[])
    mode = limits.throttle.mode
    found = None
    if mode is Mode.REDIS:
        with suppress(RedisError):
            found = {name: _of(limits, name, used) for name, used in buffer.services().items()}
    if found is None:
        found = _own(limits)
    busiest = sorted(found.values(), key=lambda each: (-each.events - each.throttled, each.service))
    return Services(mode=mode.value, services=busiest[:MAX_SERVICES])


def _of(limits: Limits, service: str, used: Used) -> ServiceView:
    quota = limits.quotas.of(service)
    new_issues = sum(age < limits.quotas.window for age in used.ages)
    return ServiceView(
        service=service,
        events=used.events,
        throttled=used.throttled,
        folded=used.folded,
        left=quota.events_left(used.ahead),
        new_issues=new_issues,
        new_issues_left=quota.new_issues_left(new_issues),
    )


def _own(limits: Limits) -> dict[str, ServiceView]:
    throttle, now = limits.throttle, time.monotonic()
    places = dict[str, int]()
    with suppress(SQLAlchemyError):
        places = limits.places()
    return {
        service: ServiceView(
            service=service,
            events=bucket.passed,
            throttled=bucket.throttled,
            folded=bucket.folded,
            left=throttle.buckets.left(service, throttle.share, now),
            new_issues=places.get(service, 0),
            new_issues_left=limits.quotas.of(service).new_issues_left(places.get(service, 0)),
        )
        for service, bucket in throttle.buckets
    }
