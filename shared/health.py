"""The bodies of `GET /api/v1/health` and `GET /api/v1/ready`."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Engine, QueuePool

State = Literal["up", "down"]


class Pool(BaseModel):
    """Connections of the MySQL pool."""

    size: int
    in_use: int


class MySQL(BaseModel):
    state: State
    pool: Pool


class Redis(BaseModel):
    state: State


class Dependencies(BaseModel):
    mysql: MySQL
    redis: Annotated[Redis | None, Field(exclude_if=lambda redis: redis is None)] = None


class Ingest(BaseModel):
    """Where the process that answers keeps new events."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    state: Literal["redis", "direct", "spool"]
    since: str
    """ISO 8601 with microseconds, UTC."""
    reason: Annotated[str | None, Field(exclude_if=lambda reason: reason is None)] = None
    """Why it is not `redis`."""


class Health(BaseModel):
    """What works. The last four are the async twin's only."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    status: Literal["up", "degraded"]
    """`degraded` where a dependency is down, or events are not kept where they belong."""
    dependencies: Dependencies
    ingest: Annotated[Ingest | None, Field(exclude_if=lambda ingest: ingest is None)] = None
    flush_age_seconds: Annotated[float | None, Field(exclude_if=lambda age: age is None)] = None
    """Since the last flush that went well."""
    queue_age_seconds: Annotated[float | None, Field(exclude_if=lambda age: age is None)] = None
    """Of the oldest first event that waits for its row."""
    set_aside: Annotated[int | None, Field(exclude_if=lambda entries: entries is None)] = None
    """How many things could not be applied, and were set aside with their reasons."""


class Ready(BaseModel):
    status: Literal["ready"] = "ready"


def mysql_health(engine: Engine, up: bool) -> MySQL:
    assert isinstance(engine.pool, QueuePool)
    pool = Pool(size=engine.pool.size(), in_use=engine.pool.checkedout())
    return MySQL(state="up" if up else "down", pool=pool)
