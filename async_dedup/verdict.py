"""What the services of a group may have: what `verdict.lua` is asked, and what it says."""

import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from async_dedup.entries import EPOCH
from async_dedup.fates import FOLDED, KEPT, Fate, Verdict
from async_dedup.keys import ARRIVALS, NEW_ISSUES, SERVICES
from async_dedup.limits import Limits
from async_dedup.link import Word
from shared.answer import Refused
from shared.event import Event
from shared.metrics import events_folded
from shared.quota import MAX_SERVICES, OTHERS, overflow, throttled

SECOND = 1_000_000
"""In microseconds, which all times are in there."""


@dataclass(frozen=True, slots=True)
class Question:
    """Of one group; only services with a quota are in it."""

    limits: Limits
    events: Sequence[Event]
    services: Sequence[str]
    candidates: Mapping[str, str]
    """Fingerprints that may be new, with their services."""
    keys: list[Word]
    words: list[Word]

    def read(
        self, payloads: int, told: str, sent: Mapping[str, bool]
    ) -> tuple[int | Verdict, Mapping[str, bool]]:
        """What Redis says of the events, and which payloads it has now, of those `sent` and besides.

        What it says of rates and budgets is remembered.
        """
        letters, *ahead = told.split(" ")
        waits = {
            service: self.limits.throttle.told(service, int(microseconds) / SECOND)
            for service, microseconds in zip(self.services, ahead, strict=False)
        }
        self.limits.told(self.services)
        if not letters:
            self.limits.admitted_by_redis(self.candidates)
            return payloads, sent
        refusals: dict[str, Refused] = {}
        fates: list[Fate] = []
        kept, overflows = set[str](), set[str]()
        for letter, event in zip(letters, self.events, strict=True):
            match letter:
                case ".":
                    fates.append(KEPT)
                    kept.add(event.fingerprint)
                case "t":
                    service = event.service
                    if service not in refusals:
                        refusals[service] = throttled(self.limits.quotas.of(service), waits[service])
                    fates.append(refusals[service])
                case _:
                    fates.append(FOLDED)
                    overflows.add(overflow(event.service if letter == "f" else OTHERS).fingerprint)
        self.limits.admitted_by_redis({each: of for each, of in self.candidates.items() if each in kept})
        events_folded.inc(sum(fate == FOLDED for fate in fates))
        known = {each: has_trace for each, has_trace in sent.items() if each in kept}
        return Verdict(payloads, fates), known | dict.fromkeys(overflows, False)


def ask_for(
    limits: Limits,
    events: Sequence[Event],
    found: Mapping[str, tuple[int, Event]],
    has_payload: Mapping[str, bool],
) -> Question | None:
    """None where no service of the group has a quota.

    `found`: by fingerprint, how many of the events, and one of them; `has_payload`: those Redis knows.
    """
    names = {event.service: None for _, event in found.values()}
    limited = [service for service in names if limits.quotas.of(service).is_any]
    if not limited:
        return None
    which = {fingerprint: number for number, fingerprint in enumerate(found, 1)}
    candidates = {}
    if limits.quotas.has_budgets:
        candidates = {each: event.service for each, (_, event) in found.items() if limits.may_be_new(event)}
    words: list[Word] = [
        len(limited) + 1,
        _bytes([which[event.fingerprint] for event in events]),
        b"" if len(names) == 1 else _owners(limited, found),
        "".join("n" if each in candidates else "." for each in found) if candidates else "",
        *(MAX_SERVICES, int(limits.quotas.window * SECOND), int(limits.throttle.memory * SECOND)),
    ]
    for service in (*limited, OTHERS):
        words += _words(limits, service, has_payload)
    keys: list[Word] = [ARRIVALS, SERVICES, *(NEW_ISSUES + service for service in (*limited, OTHERS))]
    return Question(limits, events, limited, candidates, keys, words)


def _owners(limited: Sequence[str], found: Mapping[str, tuple[int, Event]]) -> bytes:
    number_of = {service: number for number, service in enumerate(limited, 1)}
    return _bytes([number_of.get(event.service, 0) for _, event in found.values()])


def _bytes(numbers: Iterable[int]) -> bytes:
    """Two of each, the higher one first."""
    packed = array("H", numbers)
    if sys.byteorder == "little":
        packed.byteswap()
    return packed.tobytes()


def _words(limits: Limits, service: str, has_payload: Mapping[str, bool]) -> list[Word]:
    quota, folded = limits.quotas.of(service), overflow(service)
    return [
        service,
        repr(SECOND * quota.interval()),
        repr(SECOND * quota.tolerance()),
        int(limits.throttle.used(service) * SECOND),
        quota.new_issues,
        bytes.fromhex(folded.fingerprint),
        "" if folded.fingerprint in has_payload else folded.model_dump_json(by_alias=True),
        b"".join(
            bytes.fromhex(place.fingerprint) + b"%016d" % _microseconds(place.reserved_at)
            for place in limits.known.places.get(service, ())
        ),
        int(service != OTHERS and not limits.quotas.is_named(service)),
    ]


def _microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)
