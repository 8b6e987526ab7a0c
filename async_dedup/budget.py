"""The budget of new issues, as MySQL holds it: a row in `new_issues` for each place.

A new issue needs a place in each store that is there: here, before its event goes to Redis, and in Redis, by
the group's script (`verdict.lua`). So each of the two knows every place by itself when the other goes, or
comes back without its data. Where Redis is away a group's own transaction takes its places.

The service's row is locked meanwhile: of two processes one waits for the other.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, Engine, and_, delete, exists, func, or_, select, tuple_, update
from sqlalchemy.dialects.mysql import insert

from shared.answer import now
from shared.db import transact
from shared.model import Issue, NewIssue, ServiceUse
from shared.quota import MAX_SERVICES, OTHERS, Quotas

SETTLE = 1.0
"""Seconds after Redis was left until MySQL is asked for places: then all have told what that gave alone."""
HOMELESS = timedelta(minutes=1)
"""After which a place without its issue is given back, should nobody have done so."""

_insert = insert(ServiceUse)
KEEP = _insert.on_duplicate_key_update(arrival=func.greatest(ServiceUse.arrival, _insert.inserted.arrival))
"""A service is not idle; and its row is held to the end of the transaction."""
_place = insert(NewIssue)
NOTE = _place.prefix_with("IGNORE")
TAKE = _place.on_duplicate_key_update(
    service=_place.inserted.service, reserved_at=_place.inserted.reserved_at
)
"""Also one of an earlier window, that nobody counts any more."""
NO_ISSUE = ~exists().where(Issue.fingerprint == NewIssue.fingerprint)
WITH_MESSAGE = func.char_length(Issue.message) > 0
"""Without one a flush has made the row before the digest, and it is as new as its place says."""


class Place(NamedTuple):
    fingerprint: str
    service: str
    reserved_at: datetime

    @property
    def row(self) -> dict[str, object]:
        return {**self._asdict(), "service": self.service.encode()}


class Admitted(NamedTuple):
    """Of fingerprints that might be new."""

    known: set[str]
    """There are issues of them."""
    placed: set[str]
    """They had a place before."""
    taken: dict[str, datetime]
    """They have one now, since then."""
    folded: dict[str, str]
    """There was none left, with the service on whose overflow issue they count."""


class Found(NamedTuple):
    admitted: Admitted
    places: list[Place]
    """Of issues of the services that were asked for."""


def look_up(
    engine: Engine,
    candidates: Mapping[str, str],
    needless: Mapping[str, datetime],
    since: Mapping[str, datetime],
    quotas: Quotas,
) -> Found:
    """In one transaction: gives back places that are `needless`, takes some for `candidates`, as `admit`.

    `needless`: when each was taken. `since`, by service: places that were taken from then on are read.
    Raises sqlalchemy's errors.
    """

    def work(connection: Connection) -> Found:
        if needless:
            # Who asked for one of them since then has made it younger, and relies on it.
            of_then = tuple_(NewIssue.fingerprint, NewIssue.reserved_at).in_([*needless.items()])
            connection.execute(delete(NewIssue).where(of_then, NO_ISSUE))
        admitted = admit(connection, candidates, quotas)
        return Found(admitted, _places(connection, since) if since else [])

    return transact(engine, work)


def admit(connection: Connection, candidates: Mapping[str, str], quotas: Quotas) -> Admitted:
    """Takes a place for each fingerprint that may be new, in order, as far as its service has any left.

    `candidates` have their services. The places are the transaction's.
    """
    # A budget may have been turned off since they were spooled.
    candidates = {each: service for each, service in candidates.items() if quotas.of(service).new_issues}
    owners = _lock(connection, sorted({*candidates.values()}), quotas)
    left, since = Counter[str](), now() - timedelta(seconds=quotas.window)
    known, placed = _known(connection, candidates), _placed(connection, candidates, since)
    if awaited := placed - known:
        # Their issues come now, and count from now on.
        renewed = update(NewIssue).where(NewIssue.fingerprint.in_(awaited)).values(reserved_at=now())
        connection.execute(renewed)
    left.update({owner: quotas.of(owner).new_issues for owner in owners.values()})
    left.subtract(_taken(connection, {*owners.values()}, since))
    folded, rows = {}, []
    for fingerprint, service in candidates.items():
        owner = owners[service]
        if fingerprint in known or fingerprint in placed:
            continue
        if left[owner] <= 0:
            folded[fingerprint] = owner
        else:
            left[owner] -= 1
            rows.append(Place(fingerprint, owner, now()))
    if rows:
        connection.execute(TAKE, [place.row for place in sorted(rows)])
    return Admitted(known, placed, {place.fingerprint: place.reserved_at for place in rows}, folded)


def without_issue(connection: Connection, candidates: Mapping[str, str]) -> dict[str, str]:
    """Of a group that was applied before: who of them was folded then."""
    there = _known(connection, candidates)
    return {fingerprint: service for fingerprint, service in candidates.items() if fingerprint not in there}


def note(connection: Connection, places: Sequence[Place]) -> list[Place]:
    """Keeps places that were taken in Redis. Returns those whose issue was there before."""
    fingerprints = [place.fingerprint for place in places]
    noted, known = _placed(connection, fingerprints), _known(connection, fingerprints)
    there, needless = noted | known, known - noted
    if rows := [place.row for place in sorted(places) if place.fingerprint not in there]:
        connection.execute(NOTE, rows)
    return [place for place in places if place.fingerprint in needless]


def tell(engine: Engine, places: Sequence[Place]) -> None:
    """MySQL has the places that were taken in Redis, also those whose issues have not come yet."""
    transact(engine, lambda connection: note(connection, places))


def trim(engine: Engine, window: float, waits_for: float | None) -> None:
    """Forgets places that nobody counts any more, and those whose issue has not come.

    `waits_for`: seconds that the oldest first event has waited for its digest; None where nobody can tell.
    The issue of a place may be in a Redis that is away: then the place stays, for the window.
    """
    moment = now()
    over = NewIssue.reserved_at < moment - timedelta(seconds=window) - HOMELESS
    with engine.begin() as connection:
        connection.execute(delete(NewIssue).where(over))
        if waits_for is not None and timedelta(seconds=waits_for) < HOMELESS:
            connection.execute(delete(NewIssue).where(NewIssue.reserved_at < moment - HOMELESS, NO_ISSUE))
        idle = ServiceUse.arrival < moment - timedelta(seconds=window) - HOMELESS
        connection.execute(delete(ServiceUse).where(idle))


def _lock(connection: Connection, services: Sequence[str], quotas: Quotas) -> dict[str, str]:
    """Returns whose budget each service has: its own, or the others', once there are too many."""
    if not services:
        return {}
    names = {service.encode(): service for service in services}
    known = {*connection.scalars(select(ServiceUse.service).where(ServiceUse.service.in_(names)))}
    room = MAX_SERVICES - (connection.scalar(select(func.count()).select_from(ServiceUse)) or 0)
    owners = {}
    for name, service in names.items():
        if name not in known and not quotas.is_named(service):
            room -= 1
        has_own = name in known or quotas.is_named(service) or room >= 0
        owners[service] = service if has_own else OTHERS
    second = now().replace(microsecond=0)  # most questions change nothing then, and sync nothing
    rows = [{"service": owner.encode(), "arrival": second} for owner in sorted({*owners.values()})]
    connection.execute(KEEP, rows)
    return owners


def _known(connection: Connection, fingerprints: Iterable[str]) -> set[str]:
    return {
        *connection.scalars(
            select(Issue.fingerprint).where(Issue.fingerprint.in_([*fingerprints]), WITH_MESSAGE)
        )
    }


def _placed(connection: Connection, fingerprints: Iterable[str], since: datetime = datetime.min) -> set[str]:
    which = NewIssue.fingerprint.in_([*fingerprints]), NewIssue.reserved_at > since
    return {*connection.scalars(select(NewIssue.fingerprint).where(*which))}


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


def _places(connection: Connection, since: Mapping[str, datetime]) -> list[Place]:
    """Only of issues that are there: the others may be given back yet."""
    asked = [
        and_(NewIssue.service == service.encode(), NewIssue.reserved_at > moment)
        for service, moment in since.items()
    ]
    statement = (
        select(NewIssue.fingerprint, NewIssue.service, NewIssue.reserved_at)
        .join(Issue, Issue.fingerprint == NewIssue.fingerprint)
        .where(or_(*asked))
    )
    return [Place(each, service.decode(), at) for each, service, at in connection.execute(statement)]
