"""Everyone who can be measured, in one place: one more is one more entry here, and its app.

In this order they stand in tables and legends, and each is compared with the next.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal


@dataclass(frozen=True)
class Style:
    """How a subject is drawn, everywhere: Okabe and Ito's colours, which colour-blind readers tell apart."""

    color: str
    symbol: str
    dash: str | list[int]
    """"solid", or the lengths of strokes and gaps."""


@dataclass(frozen=True)
class Subject:
    name: str
    about: str
    """What it does with an event, as the table of the ladder's rungs says it."""
    app: str | None
    """The module that has its `create_app`; None where the bench does not start it."""
    server: Literal["gunicorn", "uvicorn"]
    style: Style
    behind: tuple[str, ...] = ()
    """The processes that go on with its events after the answer."""
    promises_counts: bool = True
    """An event that it loses or doubles is a fault, and no result."""


NAIVE, ASYNC, OTHER = "naive_sync", "async_dedup", "other"
TWINS = (NAIVE, ASYNC)
PIPELINE = ("worker", "scheduler")

SUBJECTS = {
    each.name: each
    for each in (
        Subject(
            NAIVE,
            "read, raise and write back, one transaction for each request.",
            "naive_sync.app",
            "gunicorn",
            Style("#d55e00", "circle", "solid"),
            promises_counts=False,
        ),
        Subject(
            "upsert",
            "the same app, but one statement, and the database adds.",
            "loadtests.studies.ladder.upsert",
            "gunicorn",
            Style("#cc79a7", "emptyDiamond", [2, 3]),
        ),
        Subject(
            "group_upsert",
            "the events of a moment share one upsert and one commit.",
            "loadtests.studies.ladder.group_upsert",
            "uvicorn",
            Style("#e69f00", "emptyCircle", [10, 3, 2, 3]),
        ),
        Subject(
            "redis_count",
            "Redis counts, one round trip for each event; MySQL gets batches, out of the request path.",
            "loadtests.studies.ladder.redis_count",
            "uvicorn",
            Style("#56b4e9", "emptyTriangle", [4, 4]),
            PIPELINE,
        ),
        Subject(
            OTHER,
            "the implementation that HOST= names.",
            None,
            "uvicorn",
            Style("#009e73", "triangle", [10, 3, 2, 3]),
            promises_counts=False,
        ),
        Subject(
            ASYNC,
            "the events of a moment share that round trip.",
            "async_dedup.app",
            "uvicorn",
            Style("#0072b2", "diamond", [7, 4]),
            PIPELINE,
        ),
    )
}
FLOOR = Subject(
    "floor",
    "a handler that does nothing.",
    "loadtests.stack.floor",
    "uvicorn",
    Style("#999999", "rect", [2, 3]),
)
RUNGS = [NAIVE, "upsert", "group_upsert", "redis_count", ASYNC]
"""The ladder from one twin to the other, a decision each; who else can be measured is no part of it."""


def for_scripts() -> dict[str, dict[str, Any]]:
    """Return what the scripts of report.html and of the live page know of everyone: style and promise."""
    everyone = (*SUBJECTS.values(), FLOOR)
    return {each.name: asdict(each.style) | {"promises": each.promises_counts} for each in everyone}


def in_order(names: Iterable[str]) -> list[str]:
    """Return those of `names` that are subjects, each once."""
    there = set(names)
    return [name for name in SUBJECTS if name in there]


def compared(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return which two of `names` are compared: each with the next, and the first with the last."""
    there = in_order(names)
    ends = [(there[0], there[-1])] if len(there) > 2 else []
    return sorted([*pairwise(there), *ends], key=lambda two: [*map(there.index, two)])
