"""What the services of a group may have: what `verdict.lua` is asked, and what it says."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import count
from struct import pack
from typing import NamedTuple

from async_dedup.budget import Place
from async_dedup.entries import EPOCH
from async_dedup.fates import FOLDED, KEPT, Fate, Verdict
from async_dedup.keys import ARRIVALS, NEW_ISSUES, SERVICES
from async_dedup.limits import Limits
from async_dedup.link import Word
from shared.answer import Refused
from shared.event import Event
from shared.metrics import events_folded
from shared.quota import MAX_SERVICES, OTHERS, Quota, Quotas, overflow, throttled

BEHIND, OF_RATE = 4, 3
"""Words before the bounds, and those of a service and its rate."""
ROUNDING = 1.0
"""Microseconds that an event may come too early: in Redis a time has a grid of a quarter."""
MOST_SAME = 64
"""Sets of services that are remembered: a set may be as large as a group."""
SECOND = 1_000_000
"""In microseconds, which all times are in there."""


class Question(NamedTuple):
    """Of one group; only services with a quota are in it, and the others."""

    limits: Limits
    events: Sequence[Event]
    services: tuple[str, ...]
    candidates: Mapping[str, str]
    """Fingerprints that may be new, with their services."""
    number: int
    """Of the questions of this process: what was heard of rates meanwhile is told with the next."""
    places: list[Place]
    """That Redis is reminded of."""
    keys: list[Word]
    words: list[Word]

    def read(
        self, payloads: int, told: bytes, sent: Mapping[str, bool]
    ) -> tuple[int | Verdict, Mapping[str, bool]]:
        """What Redis says of the events, and which payloads it has now, of those `sent` and besides.

        What it says of rates and budgets is remembered.
        """
        letters, _, ahead = told.partition(b" ")
        known = self.limits.known
        self.limits.throttle.told(self.services, ahead, self.number)
        known.reminded(self.places)
        if not letters:
            known.admitted_by_redis(self.candidates)
            return payloads, sent
        refusals: dict[str, Refused] = {}
        fates: list[Fate] = []
        kept, overflows = set[str](), set[str]()
        for letter, event in zip(letters.decode(), self.events, strict=True):
            match letter:
                case ".":
                    fates.append(KEPT)
                    kept.add(event.fingerprint)
                case "t":
                    service = event.service
                    if service not in refusals:
                        quota, at = self.limits.quotas.of(service), self.services.index(service)
                        wait = int(ahead.split()[at]) / SECOND - quota.tolerance()
                        refusals[service] = throttled(quota, wait)
                    fates.append(refusals[service])
                case _:
                    fates.append(FOLDED)
                    overflows.add(overflow(event.service if letter == "f" else OTHERS).fingerprint)
        known.admitted_by_redis({each: of for each, of in self.candidates.items() if each in kept})
        events_folded.inc(sum(fate == FOLDED for fate in fates))
        brought = {each: has_trace for each, has_trace in sent.items() if each in kept}
        return Verdict(payloads, fates), brought | dict.fromkeys(overflows, False)


def ask_for(
    limits: Limits,
    events: Sequence[Event],
    found: Mapping[str, tuple[int, Event]],
    has_payload: Mapping[str, bool],
) -> Question | None:
    """None where no service of the group has a quota.

    `found`: by fingerprint, how many of the events, and one of them; `has_payload`: those Redis knows.
    """
    quotas = limits.quotas
    services = frozenset([event.service for _, event in found.values()])
    same = _same(quotas, limits.throttle.memory, services)
    if same is None:
        return None
    candidates = {}
    if quotas.has_budgets:
        candidates = {each: event.service for each, (_, event) in found.items() if limits.may_be_new(event)}
    words: list[Word] = [
        len(same.services),
        _order(events, found),
        b"" if same.is_one else _owners(same.limited, found),
        "".join(_letter(limits, each, candidates) for each in found) if candidates else "",
        *same.words,
    ]
    buckets = limits.throttle.buckets
    if buckets.untold:
        for which, ahead in enumerate(limits.throttle.used(same.services), 1):
            words[BEHIND + OF_RATE * which] = int(ahead * SECOND)
    places: list[Place] = []
    if quotas.has_budgets:
        for service in same.services:
            of_service = [*limits.known.places.get(service, {}).values()]
            places += of_service
            words += _of_budget(service, of_service, has_payload)
    return Question(
        limits, events, same.services, candidates, buckets.next_question(), places, same.keys, words
    )


def _letter(limits: Limits, fingerprint: str, candidates: Collection[str]) -> str:
    if fingerprint not in candidates:
        return "."
    return "x" if fingerprint in limits.known.denied else "n"


class Same(NamedTuple):
    """What is the same in all groups of the same services."""

    limited: tuple[str, ...]
    services: tuple[str, ...]
    """The same, and at the end the others."""
    is_one: bool
    """Whether there is no other service in the group."""
    keys: list[Word]
    words: list[Word]
    """The bounds; and of each of `services` its name and rate, with nothing used."""


@lru_cache(MOST_SAME)
def _same(quotas: Quotas, memory: float, services: frozenset[str]) -> Same | None:
    found = [service for service in services if quotas.of(service).is_any]
    limited = tuple(sorted(found, key=lambda service: (service == OTHERS, service)))
    if not limited:
        return None
    keys: list[Word] = [ARRIVALS, SERVICES]
    words: list[Word] = [pack(">ddd", MAX_SERVICES, quotas.window * SECOND, memory * SECOND)]
    every = limited if limited[-1] == OTHERS else (*limited, OTHERS)
    for service in every:
        may_be_other = service != OTHERS and not quotas.is_named(service)
        words += (service, _rate(quotas.of(service), may_be_other), 0)
        if quotas.has_budgets:
            keys.append(NEW_ISSUES + service)
    return Same(limited, every, len(services) == 1, keys, words)


@lru_cache(MAX_SERVICES)
def _rate(quota: Quota, may_be_other: bool) -> bytes:
    times = SECOND * quota.interval(), SECOND * quota.tolerance() + ROUNDING
    return pack(">ddddB", *times, SECOND * quota.most_ahead(), quota.new_issues, may_be_other)


def _order(events: Sequence[Event], found: Mapping[str, tuple[int, Event]]) -> bytes:
    """Of each event the number of its fingerprint."""
    which = dict(zip(found, count(1), strict=False))
    return _bytes([which[event.fingerprint] for event in events])


def _owners(limited: Sequence[str], found: Mapping[str, tuple[int, Event]]) -> bytes:
    number_of = dict(zip(limited, count(1), strict=False))
    return _bytes([number_of.get(event.service, 0) for _, event in found.values()])


def _bytes(numbers: list[int]) -> bytes:
    """Two of each."""
    return pack(f">{len(numbers)}H", *numbers)


def _of_budget(service: str, places: Collection[Place], has_payload: Mapping[str, bool]) -> tuple[Word, ...]:
    folded = overflow(service)
    return (
        bytes.fromhex(folded.fingerprint),
        "" if folded.fingerprint in has_payload else folded.model_dump_json(by_alias=True),
        b"".join(
            bytes.fromhex(place.fingerprint) + b"%016d" % _microseconds(place.reserved_at) for place in places
        ),
    )


def _microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)
