"""`GET /api/v1/services`: what this process remembers of each, and what MySQL holds."""

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from naive_sync.budget import created
from naive_sync.throttle import Throttle, Use
from shared.db import or_unavailable
from shared.services import Services, ServiceView


def show_services(engine: Engine, throttle: Throttle) -> Services:
    """Of several processes the one that answers knows its own events only (flaw 5)."""
    uses = throttle.uses()
    with_budget = [name for name, use in uses if use.quota.new_issues]
    with or_unavailable(), Session(engine) as session:
        issues = created(session, throttle.quotas.window, with_budget)
    return Services(services=[_view(name, use, throttle.left(name, use), issues[name]) for name, use in uses])


def _view(name: str, use: Use, left: int | None, created: int) -> ServiceView:
    return ServiceView(
        service=name,
        events=use.events,
        throttled=use.throttled,
        folded=use.folded,
        left=left,
        new_issues=created,
        new_issues_left=use.quota.new_issues_left(created),
    )
