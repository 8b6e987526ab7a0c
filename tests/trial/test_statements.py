"""MySQL's own count of statements, without those of the harness."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from loadtests.stack import Stack
from loadtests.trial.reconcile import Connection, Table, connect
from loadtests.trial.statements import Statements, own_statements
from tests import client
from tests.parts import create_tables_of, engine_of


@pytest.fixture
def mysql(stack: Stack) -> Iterator[Connection]:
    create_tables_of(stack)
    with connect(stack.settings) as connection:
        yield connection


def test_a_known_number_of_statements(stack: Stack, mysql: Connection) -> None:
    engine = engine_of(stack)
    with engine.connect():  # what a new connection asks for is asked now
        pass
    statements = Statements(mysql)
    with engine.begin() as connection:
        for _ in range(7):
            connection.execute(text("SELECT 1"))
    assert statements.count(own=0) == 8  # with COMMIT
    engine.dispose()  # says goodbye: no statement


def test_what_the_harness_asks_is_not_in_it(stack: Stack, mysql: Connection) -> None:
    statements = Statements(mysql)
    table = Table(mysql)
    table.total()
    table.counts()
    with connect(stack.settings) as probing:
        Table(probing).total()
        own = own_statements(probing)
    assert own > 1
    assert statements.count(own) == 0


def test_an_event_of_the_naive_twin(stack: Stack, naive_url: str, mysql: Connection) -> None:
    """SELECT, UPDATE, COMMIT for one that is there, and ROLLBACK when the pool takes its connection back."""
    stack.stop_twin("naive_sync")  # its pool may have connections from before MySQL was started again
    stack.start_twin("naive_sync")
    assert client.log(naive_url, "counted by MySQL").status == 200
    statements = Statements(mysql)
    for _ in range(5):
        assert client.log(naive_url, "counted by MySQL").status == 200
    assert statements.count(own=0) == 20
