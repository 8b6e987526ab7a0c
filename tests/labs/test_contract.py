"""What lab 10 asks of a third twin: both twins answer it, and so do the skeleton and its solution."""

from pathlib import Path

import pytest

from loadtests.bootstrap import ROOT
from loadtests.labs import own
from loadtests.labs.contract import CASES, NO_ANSWER, differences
from loadtests.stack import Stack
from loadtests.stack.servers import free_port
from tests.labs.benches import SharedBench

SOLUTION = ROOT / "workshop" / "solutions" / "lab-10" / "third.py"
OWN = "def read() -> Event:"


def test_each_twin_answers_all_of_it(twin_url: str) -> None:
    assert [*differences(twin_url)] == []


def test_a_page_says_how_many_they_are() -> None:
    assert "about a hundred" in (ROOT / own.LAB.page).read_text()
    assert 80 < len(CASES) < 120


@pytest.mark.parametrize("original", [own.SKELETON, SOLUTION], ids=["skeleton", "solution"])
def test_what_a_learner_gets_answers_all_of_it(stack: Stack, tmp_path: Path, original: Path) -> None:
    assert asked(stack, tmp_path, original.read_text()) == []


def test_each_that_is_answered_otherwise_is_told(stack: Stack, tmp_path: Path) -> None:
    text = own.SKELETON.read_text()
    assert OWN in text
    found = asked(stack, tmp_path, text.replace(OWN, f"def check_head(*_): pass\n\n\n{OWN}"))
    assert 'POST {"message": "the contract"} as text/plain: answered 200, should be 415' in found
    assert any(each.startswith('POST {"message": "as large as can be"}') for each in found)
    assert all("should be 415" in each or "should be 413" in each for each in found)


def asked(stack: Stack, folder: Path, text: str) -> list[str]:
    program = folder / "third.py"
    program.write_text(text)
    with SharedBench(folder, stack).stack(), own.running(stack, program) as (url, log):
        assert url, log.read_text()
        return [*differences(url)]


def test_where_nobody_answers_one_is_enough() -> None:
    (told,) = differences(f"http://127.0.0.1:{free_port()}")
    assert f"{NO_ANSWER} (ConnectionRefusedError), should be 200" in told
