"""Each flaw is shown: the naive twin has it, the async twin beside it has not."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from loadtests import demo
from loadtests.demo import FLAWS, demonstrate
from loadtests.load.subjects import ASYNC, NAIVE
from shared.settings import environment
from tests.conftest import free_settings

COUNTED = {
    "lost-update": "lost",
    "duplicate-key": "answered 500",
    "pool-exhaustion": "answered 503",
    "doubled-limit": "too many",
    "oversold-budget": "too many",
}
"""What the naive twin has and the async one has not, by flaw."""


def number(figure: str) -> float:
    return float(figure.split(maxsplit=1)[0].replace(",", ""))


@pytest.fixture(scope="module")
def one_run_dir() -> Iterator[Path]:
    """For all: MySQL's first start takes its time."""
    with tempfile.TemporaryDirectory(prefix="twins-") as folder:
        yield Path(folder)


@pytest.mark.parametrize("name", FLAWS)
def test_a_flaw_is_shown(name: str, one_run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in environment(free_settings()).items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(demo, "SECONDS", 1.0)
    found = demonstrate(name, one_run_dir, Console(quiet=True))
    naive, async_ = found[NAIVE], found[ASYNC]
    assert number(async_["answered 200"]) > 0
    if line := COUNTED.get(name):
        assert number(naive[line]) > 0
        assert number(async_[line]) == 0
    else:  # it crosses the slow way more than once
        assert number(naive["p95"]) > 2 * 2_000 * demo.SLOW.delay
