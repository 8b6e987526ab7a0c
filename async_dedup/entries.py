"""What stands in Redis, read by this version: what it can't read is named, and the rest is there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import ValidationError

from async_dedup.keys import AT, BATCH, FIRST_EVENTS
from async_dedup.set_aside import Unfit
from shared.event import Event, problems

FINGERPRINT_BYTES = 32
EPOCH = datetime(1970, 1, 1)
"""In UTC, as MySQL has its times."""
LEDGER_ID = 32
MOST_EVENTS = 2**63 - 1
"""What a BIGINT holds, and a Redis counter."""
_AT = AT.encode()


@dataclass(frozen=True)
class Batch:
    """A claimed buffer: events per fingerprint, and when the last of them came."""

    id: str
    counts: Mapping[str, int]
    last_seen: datetime

    @property
    def has_time(self) -> bool:
        return self.last_seen > datetime.min


@dataclass(frozen=True)
class FirstEvent:
    """An event that waits for its digest; the id orders it."""

    id: str
    fingerprint: str
    event: Event
    seen_at: datetime
    owner: str | None = None
    """Whose budget it has taken a place of, as a new issue."""

    def entry(self) -> dict[bytes, bytes]:
        """As it stands in the stream."""
        event = self.event.model_dump_json(by_alias=True).encode()
        owner = {} if self.owner is None else {b"owner": self.owner.encode()}
        at = b"%d" % ((self.seen_at - EPOCH) // timedelta(microseconds=1))
        return {b"fingerprint": bytes.fromhex(self.fingerprint), b"event": event, _AT: at, **owner}


def utc(unix_microseconds: int) -> datetime:
    """Raises OverflowError for what is no time."""
    return EPOCH + timedelta(microseconds=unix_microseconds)


def added_at(entry_id: bytes, entry: Mapping[bytes, bytes]) -> int:
    """Unix microseconds; by its id, in milliseconds, only where the entry does not say. Raises ValueError."""
    return _whole(entry[_AT]) if _AT in entry else int(entry_id.split(b"-")[0]) * 1000


def read_first_events(
    entries: Sequence[tuple[bytes, Mapping[bytes, bytes]]],
) -> tuple[list[FirstEvent], list[Unfit]]:
    events: list[FirstEvent] = []
    unfit: list[Unfit] = []
    for entry_id, entry in entries:
        try:
            events.append(_first_event(entry_id, entry))
        except (ValueError, OverflowError, OSError) as error:
            unfit.append(unfit_event(entry_id, _reason(error), entry))
    return events, unfit


def _first_event(entry_id: bytes, entry: Mapping[bytes, bytes]) -> FirstEvent:
    for name in (b"fingerprint", b"event"):
        if name not in entry:
            raise ValueError(f"no {name.decode()}")
    if len(entry[b"fingerprint"]) != FINGERPRINT_BYTES:
        raise ValueError(f"a fingerprint of {len(entry[b'fingerprint'])} bytes")
    # A newer version may have added a field: of a request it is an error, here it is not for us.
    event = Event.model_validate_json(entry[b"event"], extra="ignore")
    seen_at = utc(added_at(entry_id, entry))
    owner = entry[b"owner"].decode() if b"owner" in entry else None
    return FirstEvent(entry_id.decode(), entry[b"fingerprint"].hex(), event, seen_at, owner)


def _reason(error: Exception) -> str:
    """Without what was sent."""
    if isinstance(error, ValidationError):
        return "; ".join(f"{problem.field}: {problem.reason}" for problem in problems(error))
    return str(error)


def unfit_event(entry_id: bytes, reason: str, content: Mapping[bytes, bytes]) -> Unfit:
    return Unfit("first_event", FIRST_EVENTS, ("XDEL", entry_id), reason, content)


def is_batch_id(name: bytes) -> bool:
    """Whether the ledger can hold it, and tell it from others."""
    return name.isalnum() and len(name) <= LEDGER_ID


def read_batch(batch_id: str, fields: Mapping[bytes, bytes]) -> tuple[Batch, list[Unfit]]:
    """Its last event came at `datetime.min` where the batch does not say so."""
    counts: dict[str, int] = {}
    last_seen = datetime.min
    unfit: list[Unfit] = []
    for name, value in fields.items():
        try:
            if name == _AT:
                last_seen = utc(_whole(value))
            else:
                if len(name) != FINGERPRINT_BYTES:
                    raise ValueError(f"a fingerprint of {len(name)} bytes")
                counts[name.hex()] = _whole(value)
        except (ValueError, OverflowError, OSError) as error:
            unfit.append(unfit_count(batch_id, name, str(error), value))
    return Batch(batch_id, counts, last_seen), unfit


def _whole(value: bytes) -> int:
    # int() also takes b" 1_0 ", and refuses what is very long.
    if not (value.isdigit() and len(value) <= len(str(MOST_EVENTS)) and 0 < int(value) <= MOST_EVENTS):
        raise ValueError("no whole number from 1 to 2^63 - 1")
    return int(value)


def unfit_count(batch_id: str, name: bytes, reason: str, value: bytes) -> Unfit:
    return Unfit("count", BATCH + batch_id, ("HDEL", name), reason, {name: value})


def missing_at(batch_id: str, now: float) -> Unfit:
    """Nothing to remove: what it lacks is put there."""
    return Unfit("count", BATCH + batch_id, ("HSETNX", AT, int(now * 1e6)), "no time: taken for now", {})
