"""The bodies of every answer, success or not: the same bytes from both twins."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel

JSON = "application/json"
Data = TypeVar("Data", bound=BaseModel)


Status = Literal["saved", "queued", "folded"]


def now() -> datetime:
    """UTC without a time zone, as DATETIME(6) keeps it."""
    return datetime.now(UTC).replace(tzinfo=None)


def iso(moment: datetime) -> str:
    """ISO 8601 with microseconds, of a moment as `now` gives it: `2026-01-31T12:00:00.000000Z`."""
    return moment.isoformat(timespec="microseconds") + "Z"


class Problem(BaseModel):
    """One thing that is wrong with a request."""

    field: str
    reason: str


class Failure(BaseModel):
    """The body of every answer that is not 2xx."""

    success: bool = False
    statusCode: int
    message: str
    errors: list[Problem] = []
    timestamp: str


class Success(BaseModel, Generic[Data]):
    """The body of every 2xx answer."""

    success: bool = True
    data: Data
    timestamp: str


class Acknowledged(BaseModel):
    """`saved` by the naive twin, `queued` by the async one: either way it is kept.

    `folded` by both where it would have been a new issue, and its service may create no more of them just
    now: it counts on that service's overflow issue.
    """

    status: Status


class Refused(Exception):
    """A request that gets an error answer; each app turns it into its framework's response."""

    def __init__(
        self,
        status: int,
        message: str,
        errors: Sequence[Problem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = list(errors)
        self.headers = dict(headers or {})

    def body(self) -> bytes:
        answer = Failure(
            statusCode=self.status, message=self.message, errors=self.errors, timestamp=iso(now())
        )
        return answer.model_dump_json().encode()


def unavailable(reason: str) -> Refused:
    """503: the event could not be kept, or nobody can tell whether it was."""
    return Refused(503, reason, headers={"Retry-After": "1"})


def success(data: BaseModel) -> bytes:
    return Success(data=data, timestamp=iso(now())).model_dump_json().encode()


@lru_cache(maxsize=1)
def acknowledged(status: Status, kept_at: datetime) -> bytes:
    """The answer to an event, formatted by hand: the only one on the hot path, and the same for a group."""
    return b'{"success":true,"data":{"status":"%b"},"timestamp":"%b"}' % (
        status.encode(),
        iso(kept_at).encode(),
    )
