"""The MySQL side that both twins share: engine, tables, health."""

import logging
import select
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import pymysql
from sqlalchemy import Connection, Engine, Executable, create_engine, event, text
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    DisconnectionError,
    IntegrityError,
    InterfaceError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.schema import CreateTable

from shared.answer import unavailable
from shared.metrics import WatchedPool, show_pool, watch_engine
from shared.model import Base
from shared.settings import Settings

log = logging.getLogger(__name__)

Outcome = TypeVar("Outcome")

CONNECT_TIMEOUT = 2
READ_TIMEOUT = 60
"""Seconds for one statement: more than InnoDB waits for a lock. Without it a lost MySQL holds a flush up."""
LEAST_PACKET = 2**20
"""Bytes. PyMySQL puts rows together until a statement has 1,024,000."""
DEADLOCK_OR_LOCK_WAIT = (1213, 1205)
REFUSALS = (1690, 1644, 3819, 4025)
"""Of one row, though PyMySQL calls them operational: out of range, a trigger's, a constraint's."""


def make_engine(settings: Settings, pool_size: int) -> Engine:
    """A pool of exactly `pool_size` connections; a caller waits `pool_timeout` seconds for one of them.

    It is the one that the metrics show.
    """
    engine = _engine(settings, pool_size, {})
    show_pool(engine)
    return engine


def _engine(settings: Settings, pool_size: int, connect: Mapping[str, Any], **options: Any) -> Engine:
    """`connect` are PyMySQL's options, the others SQLAlchemy's."""
    engine = create_engine(
        settings.mysql_url,
        poolclass=WatchedPool,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=settings.pool_timeout,
        hide_parameters=True,  # else an error's text, and so the log, would hold what clients sent
        connect_args={"connect_timeout": CONNECT_TIMEOUT, "read_timeout": READ_TIMEOUT, **connect},
        **options,
    )
    watch_engine(engine)
    event.listen(engine, "checkout", _refuse_closed)
    return engine


def _refuse_closed(connection: Any, *_: object) -> None:
    """Has the pool replace what MySQL has closed while it was idle. To ask is a round trip, this is 2 us.

    Nobody has asked it anything, so all that can be there to read is the end, or an error before it.
    """
    idle = select.poll()
    idle.register(connection._sock, select.POLLIN)  # PyMySQL has no public name for it
    if idle.poll(0):
        raise DisconnectionError("MySQL has closed this connection")


def make_background_engine(settings: Settings, statement_seconds: int | None = None) -> Engine:
    """For a process that writes batches: no locks on gaps between rows, and a lost connection is replaced.

    Should the network cut it off, MySQL gives its locks up after a minute and not after 8 hours. Without
    backslash escapes PyMySQL has only quotes to double: 0.4 instead of 22 us for a stack trace.
    """
    session = "SET SESSION wait_timeout = 60, sql_mode = CONCAT(@@sql_mode, ',NO_BACKSLASH_ESCAPES')"
    seconds = statement_seconds or READ_TIMEOUT
    return _engine(
        settings,
        1,
        {"init_command": session, "read_timeout": seconds, "write_timeout": seconds},
        isolation_level="READ COMMITTED",
        # Whoever has begun commits or rolls back: the pool's own rollback is one more round trip, of five.
        pool_reset_on_return=None,
    )


def create_tables(engine: Engine) -> None:
    """Safe when several processes start at once, unlike a check followed by a CREATE."""
    with engine.begin() as connection:
        connection.detach()  # not for the pool: a server may fork now, and no two processes can share one
        for table in Base.metadata.sorted_tables:
            connection.execute(CreateTable(table, if_not_exists=True))
        packet = connection.scalar(text("SELECT @@max_allowed_packet")) or 0
    if packet < LEAST_PACKET:
        log.error(
            "MySQL's max_allowed_packet is %d bytes: it takes no more rows where many are large", packet
        )


def create_tables_when_up(engine: Engine) -> None:
    """Waits for a MySQL that is not there yet, as worker and scheduler may be started before it."""
    while True:
        try:
            return create_tables(engine)
        except DBAPIError as error:
            log.warning("MySQL is not available, trying again: %s", error.orig)
            time.sleep(1)


def ping(settings: Settings) -> bool:
    """Whether MySQL answers, asked outside the pool: an exhausted pool is not a MySQL that is down."""
    try:
        pymysql.connect(
            host=settings.mysql_host,
            port=settings.mysql_port,
            user=settings.mysql_user,
            password=settings.mysql_password,
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=CONNECT_TIMEOUT,
        ).close()
    except (pymysql.err.Error, OSError):
        return False
    return True


def transact(engine: Engine, work: Callable[[Connection], Outcome], tries: int = 3) -> Outcome:
    """Runs `work` in one transaction, again where MySQL chose it as the victim of a deadlock."""
    try:
        with engine.begin() as connection:
            return work(connection)
    except OperationalError as error:
        if tries == 1 or error.orig is None or error.orig.args[0] not in DEADLOCK_OR_LOCK_WAIT:
            raise
    return transact(engine, work, tries - 1)


def refused_rows(
    engine: Engine, statement: Executable, rows: Sequence[Mapping[str, object]], error: DBAPIError
) -> dict[int, str]:
    """Which of `rows` MySQL does not take, by index, and its reasons: tried by halves, and undone.

    Raises `error` where it is none of a row's own, such as of a MySQL that is away or full.
    """
    if not is_refusal(error):
        raise error
    with engine.connect() as connection:
        refused = _refused(connection, statement, rows, 0)
        connection.rollback()
    if not refused:
        raise error
    return refused


def _refused(
    connection: Connection, statement: Executable, rows: Sequence[Mapping[str, object]], first: int
) -> dict[int, str]:
    try:
        with connection.begin_nested():
            connection.execute(statement, rows)
    except DBAPIError as error:
        if not is_refusal(error):
            raise
        if len(rows) == 1:
            return {first: str(error.orig)}
        half = len(rows) // 2
        return {
            **_refused(connection, statement, rows[:half], first),
            **_refused(connection, statement, rows[half:], first + half),
        }
    return {}


def is_refusal(error: DBAPIError) -> bool:
    """Whether it is about a row, and not about MySQL."""
    if isinstance(error, DataError | IntegrityError):
        return True
    return error.orig is not None and error.orig.args[:1] != () and error.orig.args[0] in REFUSALS


@contextmanager
def or_unavailable() -> Iterator[None]:
    """Turns a MySQL that is away, too busy or deadlocked into Refused (503)."""
    try:
        yield
    except PoolTimeout:
        raise unavailable("No MySQL connection became free in time") from None
    except (OperationalError, InterfaceError):
        raise unavailable("MySQL is not available") from None
