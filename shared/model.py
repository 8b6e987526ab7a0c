"""The tables, for MySQL 8.0+ and MariaDB 10.11+."""

from datetime import datetime

from sqlalchemy import CHAR, VARBINARY, BigInteger, Index, Integer, String
from sqlalchemy.dialects.mysql import DATETIME, MEDIUMTEXT
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.event import MAX_MESSAGE, MAX_SERVICE

TABLE_OPTIONS = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


class Base(DeclarativeBase):
    pass


class Issue(Base):
    """One row per fingerprint.

    No index but the unique one: each further index costs every write, and writes are what is measured.
    A service that lists millions of issues adds one per sort order.
    """

    __tablename__ = "issues"
    __table_args__ = TABLE_OPTIONS

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    fingerprint: Mapped[str] = mapped_column(CHAR(64, collation="ascii_bin"), unique=True)
    service: Mapped[str] = mapped_column(String(MAX_SERVICE))
    message: Mapped[str] = mapped_column(String(MAX_MESSAGE))
    """Empty where a flush came before the digest: such a row counts, but is not listed yet."""
    stack_trace: Mapped[str | None] = mapped_column(MEDIUMTEXT)
    times_seen: Mapped[int] = mapped_column(BigInteger)
    first_seen: Mapped[datetime] = mapped_column(DATETIME(fsp=6))
    last_seen: Mapped[datetime] = mapped_column(DATETIME(fsp=6))


class AppliedBatch(Base):
    """The ledger: a row here and the batch's counts are committed together, so a replay can be seen."""

    __tablename__ = "flush_ledger"
    __table_args__ = TABLE_OPTIONS

    batch_id: Mapped[str] = mapped_column(CHAR(32, collation="ascii_bin"), primary_key=True)
    applied_at: Mapped[datetime] = mapped_column(DATETIME(fsp=6))
    fingerprints: Mapped[int] = mapped_column(Integer)
    events: Mapped[int] = mapped_column(BigInteger)


class ServiceUse(Base):
    """What a service has used of its rate, and the row that is locked while its budget is asked."""

    __tablename__ = "service_use"
    __table_args__ = TABLE_OPTIONS

    service: Mapped[bytes] = mapped_column(VARBINARY(4 * MAX_SERVICE), primary_key=True)
    """UTF-8: as text, what differs in spaces at its end would be one service."""
    arrival: Mapped[datetime] = mapped_column(DATETIME(fsp=6))
    """The theoretical arrival time of the throttle: from then on nothing is used."""


class NewIssue(Base):
    """A place in a service's budget, taken by an issue that was new. Only services with a budget have any."""

    __tablename__ = "new_issues"
    __table_args__ = (Index("by_service", "service", "reserved_at"), TABLE_OPTIONS)

    fingerprint: Mapped[str] = mapped_column(CHAR(64, collation="ascii_bin"), primary_key=True)
    service: Mapped[bytes] = mapped_column(VARBINARY(4 * MAX_SERVICE))
    reserved_at: Mapped[datetime] = mapped_column(DATETIME(fsp=6))
