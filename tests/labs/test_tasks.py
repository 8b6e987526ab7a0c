"""What a learner has mended or built is tried, and told from what is not done yet."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtests.bootstrap import ROOT
from loadtests.labs import own, race
from loadtests.labs.lab import Verdict
from loadtests.stack import Stack
from tests.conftest import Install, free_settings
from tests.labs.benches import SharedBench

SOLUTIONS = ROOT / "workshop" / "solutions"
READ = "select(Issue).where(Issue.fingerprint == event.fingerprint)"
"""How the original looks for the row."""
IN_ONE_PROCESS = """

import threading

alone = threading.Lock()
raced = ingest


def ingest(*arguments):
    with alone:
        return raced(*arguments)
"""
WITHOUT_FIRST_SEEN = "        first_seen=seen_at,\n"
NO_SUCH_COLUMN = """

from sqlalchemy import text


def add(session, *_):
    session.execute(text("UPDATE issues SET seen = seen + 1"))
    return "saved"
"""
ENDLESS = """

from sqlalchemy import update


def ingest(engine, _, event):
    with or_unavailable(), Session(engine) as session:
        while not compared(session, event):
            pass
        session.commit()
    return "saved"


def compared(session, event):
    seen = session.scalar(select(Issue.times_seen).where(Issue.fingerprint == event.fingerprint))
    if seen is None:
        digest(session, event)
        return True
    same = Issue.fingerprint == event.fingerprint, Issue.times_seen == seen
    statement = update(Issue).where(*same).values(times_seen=seen + 1, last_seen=now())
    return session.connection().execute(statement).rowcount == 1
"""


@pytest.fixture(scope="module")
def two(install: Install) -> Iterator[Stack]:
    """A stack of twins with two processes each."""
    settings = free_settings().model_copy(update={"workers": race.PROCESSES})
    with tempfile.TemporaryDirectory(prefix="twins-") as folder, Stack(install(Path(folder)), settings) as private:
        private.start("mysql", "redis")
        yield private


def edited(name: str) -> str:
    """Return what a learner has made of the copy."""
    original = race.ORIGINAL.read_text()
    match name:
        case "original":
            return original
        case "broken":
            return "import what_nobody_has"
        case "torn":
            return "\nissue.times_seen +== 1\n"
        case "lock_only":
            return replaced(original, READ, f"{READ}.with_for_update()")
        case "silent":  # who comes second is told that it was counted
            return replaced(solution("for_update"), "return False", "return True")
        case "in_one_process":
            return original + IN_ONE_PROCESS
        case "without_first_seen":
            return replaced(solution("upsert"), WITHOUT_FIRST_SEEN, "")
        case "no_such_column":
            return original + NO_SUCH_COLUMN
        case "endless":
            return original + ENDLESS
        case _:
            return solution(name)


def replaced(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


def solution(name: str) -> str:
    return (SOLUTIONS / "lab-2" / f"{name}.py").read_text()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("original", "counts are still lost. There are 2 processes"),
        ("in_one_process", "There are 2 processes, and each has for itself what Python holds"),
        ("lock_only", "answers were not 200. Two first events still race"),
        ("silent", "counts are still lost"),
        ("broken", "does not start"),
        ("torn", "ingest.py, line 2: invalid syntax"),
        ("without_first_seen", "The log's last error: pymysql.err.OperationalError: (1364, \"Field 'first_seen'"),
        ("no_such_column", "OperationalError: (1054"),
        ("endless", "sees the same picture. Commit or roll back before you try again"),
    ],
)
def test_lab_2_knows_a_copy_that_is_not_mended(
    two: Stack, tmp_path: Path, name: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "endless":
        monkeypatch.setattr(race, "PATIENCE", 2.0)
    verdict = tried(two, tmp_path, name)
    assert not verdict.is_done, verdict.why
    assert told in verdict.why


@pytest.mark.parametrize("name", ["upsert", "for_update", "compare"])
def test_lab_2_knows_a_copy_that_is_mended(two: Stack, tmp_path: Path, name: str) -> None:
    verdict = tried(two, tmp_path, name)
    assert verdict.is_done, verdict.why


def tried(stack: Stack, folder: Path, name: str) -> Verdict:
    bench = SharedBench(folder, stack)
    copy = race.mine(bench)
    assert copy.read_text() == race.ORIGINAL.read_text()
    copy.write_text(edited(name))
    return race.verify(bench)


@pytest.mark.parametrize(
    ("name", "told"),
    [("skeleton", "0 are counted"), ("broken", "It does not answer"), ("solution", "it is faster")],
)
def test_lab_10_knows_a_twin_that_counts(stack: Stack, tmp_path: Path, name: str, told: str) -> None:
    bench = SharedBench(tmp_path, stack)
    copy = own.mine(bench)
    assert copy.read_text() == own.SKELETON.read_text()
    if name == "broken":
        copy.write_text("no Python")
    elif name == "solution":
        shutil.copy(ROOT / "workshop" / "solutions" / "lab-10" / "third.py", copy)
    verdict = own.verify(bench)
    assert told in verdict.why
    assert verdict.is_done is (name == "solution")
