"""The budget of new issues, as MySQL holds it: a row in `new_issues` for each place, written with its issue.

Redis decides while it is there (`verdict.lua`), and the digest notes here what it has let in. Without Redis a
group's own transaction decides, with the service's row locked: of two processes one waits for the other.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, Engine, delete, exists, func, select
from sqlalchemy.dialects.mysql import insert

from shared.answer import now
from shared.model import Issue, NewIssue, ServiceUse
from shared.quota import MAX_SERVICES, OTHERS, Quotas

SETTLE = 1.0
"""Seconds after Redis was left until MySQL is asked for places: then all have told what they took there."""
HOMELESS = timedelta(minutes=1)
"""After which a place without its issue is given back."""

_insert = insert(ServiceUse)
LOCK = _insert.on_duplicate_key_update(arrival=ServiceUse.arrival)
"""Changes nothing, and holds the row to the end of the transaction."""
TAKE = insert(NewIssue).prefix_with("IGNORE")
WITH_MESSAGE = func.char_length(Issue.message) > 0
"""Without one a flush has made the row before the digest, and it is as new as its place says."""


class Place(NamedTuple):
    fingerprint: str
    service: str
    reserved_at: datetime

    @property
    def row(self) -> dict[str, object]:
        return {**self._asdict(), "service": self.service.encode()}


class Found(NamedTuple):
    known: set[str]
    """Fingerprints of issues that there are."""
    places: list[Place]
    """Of the services that were asked for, within the window."""


def look_up(
    engine: Engine, fingerprints: Collection[str], services: Collection[str], quotas: Quotas
) -> Found:
    """Raises sqlalchemy's errors."""
    with engine.connect() as connection:
        known = _known(connection, fingerprints)
        return Found(known, _places(connection, services, quotas) if services else [])


def admit(connection: Connection, candidates: Mapping[str, str], quotas: Quotas) -> dict[str, str]:
    """Takes a place for each fingerprint that may be new, in order, as far as its service has any left.

    `candidates` have their services. Returns those that have none, with the service on whose overflow issue
    they count. The places are the transaction's.
    """
    owners = _lock(connection, sorted({*candidates.values()}), quotas)
    free = _known(connection, candidates) | _placed(connection, candidates)
    taken, since = Counter[str](), now() - timedelta(seconds=quotas.window)
    taken.update(_taken(connection, {*owners.values()}, since))
    folded, rows = {}, []
    for fingerprint, service in candidates.items():
        owner = owners[service]
        if fingerprint in free:
            continue
        if taken[owner] >= quotas.of(owner).new_issues:
            folded[fingerprint] = owner
        else:
            taken[owner] += 1
            rows.append(Place(fingerprint, owner, now()).row)
    if rows:
        connection.execute(TAKE, rows)
    return folded


def without_issue(connection: Connection, candidates: Mapping[str, str]) -> dict[str, str]:
    """Of a group that was applied before: who of them was folded then."""
    there = _known(connection, candidates)
    return {fingerprint: service for fingerprint, service in candidates.items() if fingerprint not in there}


def note(connection: Connection, places: Sequence[Place]) -> list[Place]:
    """Keeps places that were taken in Redis. Returns those whose issue was there before."""
    fingerprints = [place.fingerprint for place in places]
    noted = _placed(connection, fingerprints)
    known = _known(connection, fingerprints)
    if rows := [place.row for place in places if place.fingerprint not in known | noted]:
        connection.execute(TAKE, rows)
    return [place for place in places if place.fingerprint in known - noted]


def tell(engine: Engine, places: Sequence[Place]) -> None:
    """MySQL has the places that were taken in Redis, also those whose issues have not come yet."""
    with engine.begin() as connection:
        note(connection, places)


def trim(engine: Engine, window: float) -> None:
    """Forgets places that nobody counts any more, and those whose issue has not come."""
    moment = now()
    over = NewIssue.reserved_at < moment - timedelta(seconds=window) - HOMELESS
    no_issue = ~exists().where(Issue.fingerprint == NewIssue.fingerprint)
    with engine.begin() as connection:
        connection.execute(delete(NewIssue).where(over))
        connection.execute(delete(NewIssue).where(NewIssue.reserved_at < moment - HOMELESS, no_issue))
        idle = ServiceUse.arrival < moment - timedelta(seconds=window) - HOMELESS
        connection.execute(delete(ServiceUse).where(idle))


def _lock(connection: Connection, services: Sequence[str], quotas: Quotas) -> dict[str, str]:
    """Returns whose budget each service has: its own, or the others', once there are too many."""
    names = {service.encode(): service for service in services}
    known = {*connection.scalars(select(ServiceUse.service).where(ServiceUse.service.in_(names)))}
    room = MAX_SERVICES - (connection.scalar(select(func.count()).select_from(ServiceUse)) or 0)
    owners = {}
    for name, service in names.items():
        if name not in known and not quotas.is_named(service):
            room -= 1
        has_own = name in known or quotas.is_named(service) or room >= 0
        owners[service] = service if has_own else OTHERS
    rows = [{"service": owner.encode(), "arrival": now()} for owner in sorted({*owners.values()})]
    connection.execute(LOCK, rows)
    return owners


def _known(connection: Connection, fingerprints: Iterable[str]) -> set[str]:
    return {
        *connection.scalars(
            select(Issue.fingerprint).where(Issue.fingerprint.in_([*fingerprints]), WITH_MESSAGE)
        )
    }


def _placed(connection: Connection, fingerprints: Iterable[str]) -> set[str]:
    return {
        *connection.scalars(select(NewIssue.fingerprint).where(NewIssue.fingerprint.in_([*fingerprints])))
    }


def _taken(connection: Connection, services: Collection[str], since: datetime) -> dict[str, int]:
    return taken(connection, since, NewIssue.service.in_([each.encode() for each in services]))


def taken(connection: Connection, since: datetime, *which: object) -> dict[str, int]:
    """Places of each service."""
    statement = (
        select(NewIssue.service, func.count())
        .where(NewIssue.reserved_at > since, *which)  # type: ignore[arg-type]
        .group_by(NewIssue.service)
    )
    return {service.decode(): number for service, number in connection.execute(statement)}


def _places(connection: Connection, services: Collection[str], quotas: Quotas) -> list[Place]:
    since = now() - timedelta(seconds=quotas.window)
    statement = select(NewIssue.fingerprint, NewIssue.service, NewIssue.reserved_at).where(
        NewIssue.service.in_([each.encode() for each in services]), NewIssue.reserved_at > since
    )
    return [Place(each, service.decode(), at) for each, service, at in connection.execute(statement)]
