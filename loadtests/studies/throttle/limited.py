"""What the trials under limits have in common: settings of their own, and an audit by service."""

import time
from collections.abc import Mapping

from typing_extensions import TypedDict

from async_dedup import spool
from loadtests.analysis.results import Reconciliation
from loadtests.stack import ROLES_OF, Stack
from loadtests.studies.faults.campaign import DRAIN, LOOK_EVERY
from loadtests.trial.driver import Driver
from loadtests.trial.reconcile import Counts, Table, connect, drain, expected, reconcile
from loadtests.trial.trial import patience
from shared.fingerprint import DEFAULT_SERVICE
from shared.quota import overflow
from shared.settings import variables


class Audit(TypedDict):
    """Of a trial; `services` leaves out what nobody sent, which is in `total`."""

    total: Reconciliation
    services: dict[str, Reconciliation]
    folded_later: int
    """Events that were answered as kept elsewhere, and are on their service's overflow issue."""
    rows: int
    """Issues, without those on which folded events count."""
    drain_seconds: float


def start(stack: Stack, twin: str, **settings: object) -> None:
    """Every role of `twin`, with these settings. Raises StackError."""
    stack.start(*ROLES_OF[twin], more=dict.fromkeys(ROLES_OF[twin], variables(**settings)))


def audit(stack: Stack, twin: str, driver: Driver, spooled: bool = False) -> Audit:
    """Wait for the drain, and account for every event.

    `spooled`: events may have been in the spool, and so be folded after their answer.
    """
    services = driver.services.keys() or {DEFAULT_SERVICE}
    if spooled:
        _await_replay(stack)
    overflows = {overflow(service).fingerprint: service for service in services}
    with connect(stack.settings) as mysql:
        table = Table(mysql)
        sums = driver.acknowledged.total(), driver.unanswered.total()
        drained_at = drain(table, *sums, patience(stack, twin))
        recorded = table.counts()
    must, may, folded_later = expected(
        driver.acknowledged, driver.unanswered, recorded, driver.service_of, spooled
    )
    owners = driver.service_of | overflows
    return {
        "total": reconcile(must, may, recorded) | {"unanswered": driver.unanswered.total()},
        "services": {
            service: reconcile(*(_of(service, each, owners) for each in (must, may, recorded)))
            | {"unanswered": sum(_of(service, driver.unanswered, owners).values())}
            for service in services
        },
        "folded_later": folded_later,
        "rows": len(recorded.keys() - overflows.keys()),
        "drain_seconds": drained_at - driver.ended_at if drained_at else 0.0,
    }


def _await_replay(stack: Stack) -> None:
    """It begins a while after the stores are back: a drain would take the silence before it for its end."""
    deadline = time.monotonic() + DRAIN
    while spool.files(stack.settings.spool_folder) and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY)


def _of(service: str, counts: Counts, owners: Mapping[str, str]) -> Counts:
    return {key: events for key, events in counts.items() if owners.get(key, DEFAULT_SERVICE) == service}
