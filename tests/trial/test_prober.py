"""The prober: what it has on its way when it is to stop belongs to what is waited for."""

from loadtests.stack import Stack
from loadtests.trial.prober import Prober
from tests.parts import create_tables_of, wait_until
from tests.sink import sink


def test_when_it_has_stopped_sending_all_it_sent_is_answered(stack: Stack) -> None:
    """A count that came later was not waited for by the drain, and missing in the audit."""
    create_tables_of(stack)
    with sink(seconds=0.5) as server, Prober(server.url, stack.settings, seed=1, patience=0) as prober:
        wait_until(lambda: server.count > 0)
        prober.stop_sending()
        assert prober.acknowledged.total() == server.count
    assert prober.acknowledged.total() == server.count
