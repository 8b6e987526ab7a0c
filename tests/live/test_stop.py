"""The signal that ends an observer, at the moment that hurts."""

import subprocess
import sys

import pytest

from tests.parts import LIMIT

HELD = """
import signal, sys
from loadtests.live.stop import stop_at_signals
stop = stop_at_signals()
with stop._cond:
    signal.raise_signal(int(sys.argv[1]))
sys.exit(not stop.wait(10))
"""


@pytest.mark.parametrize("number", ["15", "2"])
def test_it_comes_through_while_the_lock_of_the_event_is_held(number: str) -> None:
    assert subprocess.run([sys.executable, "-c", HELD, number], timeout=LIMIT, check=False).returncode == 0
