"""The reading half of the contract: issues by page or by fingerprint, the same query for both twins."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Engine, RowMapping, func, select, tuple_

from shared.answer import Problem, Refused, iso
from shared.db import or_unavailable
from shared.event import MAX_SERVICE, problems
from shared.model import Issue

COLUMNS = list(Issue.__table__.columns)
LISTED = func.char_length(Issue.message) > 0
"""A count flushed before its digest has no message yet. Asked by length: SQL takes " " for equal to ""."""


Sort = Literal["times_seen", "last_seen", "first_seen"]
"""Highest or newest first."""


class Query(BaseModel):
    """`GET /api/v1/errors`; the cursor is the `next_cursor` of the page before."""

    model_config = ConfigDict(extra="forbid")

    service: Annotated[str | None, Field(min_length=1, max_length=MAX_SERVICE)] = None
    sort: Sort = "last_seen"
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[str | None, Field(max_length=200)] = None


class IssueView(BaseModel):
    """One issue, as it is shown."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    fingerprint: str
    """Hex SHA-256 of the grouping key."""
    service: str
    message: str
    stackTrace: str | None
    """The first one that came, with the first event or a later one."""
    times_seen: int
    """What MySQL holds."""
    pending: Annotated[int | None, Field(exclude_if=lambda n: n is None)] = None
    """What the buffer still holds; the async twin's only."""
    first_seen: str
    """ISO 8601 with microseconds, UTC."""
    last_seen: str


class Page(BaseModel):
    """Issues in the order that was asked for."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    issues: list[IssueView]
    next_cursor: str | None
    """The `cursor` of the next page; null on the last one."""


def parse_query(query_string: bytes) -> Query:
    """Raises Refused (400) with a reason for each parameter that is wrong."""
    try:
        return Query.model_validate(dict(parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)))
    except ValidationError as error:
        raise Refused(400, "The query is not valid", problems(error)) from None


def page(engine: Engine, query: Query) -> Page:
    """Keyset paging: stays right while issues are added, and the last page costs what the first does."""
    key = getattr(Issue, query.sort)
    statement = select(*COLUMNS).where(LISTED).order_by(key.desc(), Issue.id.desc()).limit(query.limit + 1)
    if query.service is not None:
        # By length too, since trailing spaces don't count in SQL's `=`.
        same_length = func.char_length(Issue.service) == len(query.service)
        statement = statement.where(Issue.service == query.service, same_length)
    if query.cursor is not None:
        statement = statement.where(tuple_(key, Issue.id) < tuple_(*_position(query)))
    with or_unavailable(), engine.connect() as connection:
        rows = connection.execute(statement).mappings().all()
    shown = rows[: query.limit]
    more = len(rows) > query.limit
    return Page(
        issues=[_view(row) for row in shown], next_cursor=_cursor(query.sort, shown[-1]) if more else None
    )


def one(engine: Engine, fingerprint: str) -> IssueView:
    """Raises Refused (404) where there is no such issue."""
    statement = select(*COLUMNS).where(LISTED, Issue.fingerprint == fingerprint)
    with or_unavailable(), engine.connect() as connection:
        row = connection.execute(statement).mappings().first()
    if row is None:
        raise Refused(404, "There is no issue with this fingerprint")
    return _view(row)


def _view(row: RowMapping) -> IssueView:
    return IssueView(
        fingerprint=row["fingerprint"],
        service=row["service"],
        message=row["message"],
        stackTrace=row["stack_trace"],
        times_seen=row["times_seen"],
        first_seen=iso(row["first_seen"]),
        last_seen=iso(row["last_seen"]),
    )


def _cursor(sort: Sort, row: RowMapping) -> str:
    value = row[sort]
    position = [sort, value.isoformat() if isinstance(value, datetime) else value, row["id"]]
    return urlsafe_b64encode(json.dumps(position).encode()).decode()


def _position(query: Query) -> tuple[Any, int]:
    """The sort key and id to go on from; raises Refused (400) for a cursor that no page has given."""
    try:
        sort, value, row_id = json.loads(urlsafe_b64decode((query.cursor or "").encode()))
        if sort != query.sort:
            raise ValueError("the cursor is of another sort order")
        return (int(value) if sort == "times_seen" else datetime.fromisoformat(value)), int(row_id)
    except (ValueError, TypeError, OverflowError):
        raise Refused(
            400,
            "The query is not valid",
            [Problem(field="cursor", reason="Not a cursor of this sort order")],
        ) from None
