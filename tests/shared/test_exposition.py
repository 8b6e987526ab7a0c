"""The text of `/metrics` is the library's, though most of it is kept from one scrape to the next."""

import subprocess
import sys
from itertools import count
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Histogram as Reference

from loadtests.stack.scrape import fetch
from loadtests.stack.servers import free_port
from shared import exposition
from shared.exposition import Histogram
from tests.parts import LIMIT

BUCKETS = (0.1, 1.0, 10.0)
names = count()


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposition, "_histograms", [])


def pair(*labels: str) -> tuple[Histogram, Reference, CollectorRegistry]:
    registry, name = CollectorRegistry(), f"h{next(names)}"
    ours, reference = (
        kind(name, 'A "help" \\ text.', labels, buckets=BUCKETS, registry=registry)
        for kind in (Histogram, Reference)
    )
    assert isinstance(ours, Histogram)
    return ours, reference, registry


@given(st.lists(st.floats(0, 1e9) | st.sampled_from([*BUCKETS, inf]), max_size=20))
def test_observations_are_shown_as_the_library_shows_them(amounts: list[float]) -> None:
    ours, reference, registry = pair()
    together = pair()[0]
    for amount in amounts:
        ours.observe(amount)
        reference.observe(amount)
    together.observe_all(amounts)
    assert values(ours.text()) == values(generate_latest(registry).decode())
    assert [*together.values()] == pytest.approx([*ours.values()])


def test_a_label_that_is_new_is_shown_by_the_next_scrape() -> None:
    ours, reference, registry = pair("operation", "state")
    for labels in (("b", "1"), ('quoted " and \\', "2"), ("a", "3")):
        assert ours.text() == generate_latest(registry).decode()
        for each in (ours, reference):
            each.labels(*labels).observe(0.5)
    assert ours.text() == generate_latest(registry).decode()
    assert ours.text().count("\n") == 2 + 3 * (len(BUCKETS) + 1 + 2)


def test_the_text_holds_every_histogram_beside_all_others() -> None:
    ours, _, registry = pair()
    text = exposition.text()
    assert generate_latest(registry) in text
    assert b"python_info" in text
    assert text.count(ours._name.encode() + b"_count") == 1


def test_a_process_may_start_beside_the_one_that_it_replaces() -> None:
    port = free_port()
    for _ in range(2):
        exposition.serve("127.0.0.1", port, shared=True)
    with pytest.raises(OSError, match="in use"):
        exposition.serve("127.0.0.1", port)
    assert "python_info" in (fetch(f"127.0.0.1:{port}", timeout=5) or "")


SERVING = """
import atexit, sys, threading
from shared import exposition
@atexit.register  # what is registered first comes last
def left() -> None:
    print(*(thread.name for thread in threading.enumerate()))
exposition.serve("127.0.0.1", int(sys.argv[1]))
"""


def test_its_thread_ends_before_the_interpreter() -> None:
    command = [sys.executable, "-c", SERVING, str(free_port())]
    left = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=True).stdout
    assert left == "MainThread\n"


def values(text: str) -> list[tuple[str, float]]:
    """Large numbers are written in one of two ways."""
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return [(head, float(value)) for head, _, value in lines]
