"""How many statements a twin asked MySQL to run, by MySQL's own counters."""

from loadtests.trial.reconcile import Connection


class Statements:
    """Counts what every connection but `connection` asks for from now on.

    Not `Questions`: it also counts pings and goodbyes.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._before = self._by_others()

    def count(self, own: int) -> int:
        """Return the number so far, without `own`: what other connections of the harness asked for."""
        return self._by_others() - self._before - own

    def _by_others(self) -> int:
        return _executed(self._connection, "GLOBAL") - own_statements(self._connection)


def own_statements(connection: Connection) -> int:
    """Return how many statements a connection has asked for since it began, this one included."""
    return _executed(connection, "SESSION")


def _executed(connection: Connection, scope: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SHOW {scope} STATUS LIKE 'Com\\_%'")
        return sum(int(count) for name, count in cursor.fetchall() if name != "Com_admin_commands")
