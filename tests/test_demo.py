"""Each flaw is shown: the naive twin has it, the async twin beside it has not."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtests import demo
from loadtests.demo import FLAWS
from tests.conftest import Install
from tests.terminal import run

COUNTED = {
    "lost-update": "lost",
    "duplicate-key": "answered 500",
    "pool-exhaustion": "answered 503",
    "doubled-limit": "too many",
    "oversold-budget": "too many",
}
"""What the naive twin has and the async one has not, by flaw."""
LINE = re.compile(r"^│ (\S.*?) +│ ([\d,]+).*?│ ([\d,]+).*?│$", re.MULTILINE)


@pytest.fixture(scope="module")
def one_run_dir(install: Install) -> Iterator[Path]:
    """For all."""
    with tempfile.TemporaryDirectory(prefix="twins-") as folder:
        yield install(Path(folder))


@pytest.mark.parametrize("name", FLAWS)
def test_a_flaw_is_shown(name: str, one_run_dir: Path) -> None:
    shown = run(f"make demo FLAW={name}", one_run_dir)
    assert shown.returncode == 0, shown.stderr
    found = {
        line: [float(figure.replace(",", "")) for figure in figures]
        for line, *figures in LINE.findall(shown.stdout)
    }
    assert found["answered 200"][1] > 0
    if line := COUNTED.get(name):
        naive, async_ = found[line]
        assert naive > 0
        assert async_ == 0
    else:  # it crosses the slow way more than once
        assert found["p95"][0] > 2 * 2_000 * demo.SLOW.delay
