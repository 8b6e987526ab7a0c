"""What a learner has mended or built is tried, and told from what is not done yet."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtests.bootstrap import ROOT
from loadtests.labs import own, race, rush
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
OF_ANOTHER = """=(
            "a356c422e82843ee7a8e01ff54deec5bf220b21b02f36960dc2f93b2f0c5d64b"
            if event.message.startswith("new") else event.fingerprint)"""
"""All new errors in the row of one of them."""
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
    with (
        tempfile.TemporaryDirectory(prefix="twins-") as folder,
        Stack(install(Path(folder)), settings) as private,
    ):
        private.start("mysql", "redis")
        yield private


def edited(name: str) -> str:
    """Return what a learner has made of the copy."""
    original = race.ORIGINAL.read_text()
    made = {
        "original": original,
        "broken": "import what_nobody_has",
        "torn": "\nissue.times_seen +== 1\n",
        "latin": "# wie üblich\n",
        "lock_only": replaced(original, READ, f"{READ}.with_for_update()"),
        # Who comes second is told that it was counted.
        "silent": replaced(solution("for_update"), "return False", "return True"),
        "in_one_process": original + IN_ONE_PROCESS,
        "without_first_seen": replaced(solution("upsert"), WITHOUT_FIRST_SEEN, ""),
        "no_such_column": original + NO_SUCH_COLUMN,
        "one_for_all": replaced(solution("upsert"), "=event.fingerprint", "=event.service"),
        "first_of_all": replaced(solution("upsert"), "=event.fingerprint", OF_ANOTHER),
        "swapped": replaced(
            replaced(solution("upsert"), "=event.service", "=event.message[:64]"),
            "message=event.message,",
            "message=event.service,",
        ),
        "without_stack_trace": replaced(solution("upsert"), "=event.stack_trace", "=None"),
        "never_later": replaced(solution("upsert"), ", last_seen=seen_at)", ")"),
        "endless": original + ENDLESS,
    }
    return made[name] if name in made else solution(name)


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
        ("latin", "ingest.py can't be read: 'utf-8' codec"),
        ("without_first_seen", "The log's last error: pymysql.err.OperationalError: (1364, \"Field 'first_"),
        ("no_such_column", "OperationalError: (1054"),
        ("one_for_all", "events are in rows of errors that nobody sent"),
        ("first_of_all", "too many are in other rows"),
        ("swapped", "service is 'all that an event says', should be 'lab-2'; message is 'lab-2', should be"),
        ("without_stack_trace", "stack_trace is None, should be 'at lab 2'."),
        ("never_later", "not what else the rows say: last_seen is not later"),
        ("endless", "sees the same picture. Commit or roll back before you try again"),
    ],
)
def test_lab_2_knows_a_copy_that_is_not_mended(
    two: Stack, tmp_path: Path, name: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "endless":
        monkeypatch.setattr(rush, "PATIENCE", 2.0)
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
    copy.write_bytes(edited(name).encode("latin-1"))
    return race.verify(bench)


IN_MEMORY = """
from collections import Counter
from threading import Lock

from shared.answer import iso
from shared.listing import IssueView

counts = Counter()
alone = Lock()


def keep(event):
    with alone:
        counts[event.fingerprint] += 1


def one(_, fingerprint):
    if not counts[fingerprint]:
        raise Refused(404, "There is no issue with this fingerprint")
    moment = iso(now())
    return IssueView(
        fingerprint=fingerprint, service="default", message="m", stackTrace=None,
        times_seen=counts[fingerprint], first_seen=moment, last_seen=moment,
    )
"""
FAILING = """

def keep(event):
    if event.message.startswith("lab 10"):
        raise RuntimeError("I have no room")
"""
SPEECHLESS = """

def keep(event):
    if event.message.startswith("lab 10"):
        import os
        os._exit(1)
"""
OTHER_FORM = """

def one(_, fingerprint):
    return Dependencies(mysql=mysql_health(engine, True))
"""
TWICE = """
from shared import listing


def one(_, fingerprint):
    issue = listing.one(engine, fingerprint)
    issue.times_seen *= 2
    return issue
"""
UNSEARCHED = """
from shared import listing


def page(_, query):
    return listing.page(engine, query.model_copy(update={"service": None}))
"""
REFUSING = """
from itertools import count

from shared.answer import unavailable

numbers = count()
kept = keep


def keep(event):
    if event.message.startswith("lab 10") and next(numbers) % 5 < 2:
        raise unavailable("Not now")
    kept(event)
"""
UNCHECKED = """

def check_head(*_):
    pass
"""
RUN = "\napp.run("


ADDED = {
    "in memory": IN_MEMORY,
    "failing": FAILING,
    "speechless": SPEECHLESS,
    "other form": OTHER_FORM,
    "unchecked": UNCHECKED,
}
"""To the skeleton, by learners who are not done."""
WRONG = {"twice": TWICE, "refusing": REFUSING, "unsearched": UNSEARCHED}
"""To what was done."""
WITHOUT = {
    "no service": ('"service": event.service', '"service": "default"'),
    "no message": ('"message": event.message', '"message": "m"'),
    "no stack trace": ('"stack_trace": event.stack_trace', '"stack_trace": None'),
}
"""What was done, without a part of the event."""


def third(name: str) -> str:
    """Return what a learner has made of the skeleton."""
    done = (SOLUTIONS / "lab-10" / "third.py").read_text()
    match name:
        case "skeleton":
            return own.SKELETON.read_text()
        case "broken":
            return "no Python"
        case "solution":
            return done
        case _ if name in WITHOUT:
            return replaced(done, *WITHOUT[name])
        case _ if name in WRONG:
            return replaced(done, RUN, f"{WRONG[name]}\n{RUN}")
        case _:
            return replaced(own.SKELETON.read_text(), RUN, f"{ADDED[name]}\n{RUN}")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("skeleton", "0 are counted. At the end of the load it was killed"),
        ("in memory", "0 are counted. At the end of the load it was killed"),
        ("broken", "It does not answer. Its log:"),
        ("unchecked", "should be 415"),
        ("failing", "RuntimeError: I have no room"),
        ("speechless", "had no answer ("),
        ("other form", "answered 200 in another form, "),
        ("twice", "events were sent, and "),
        ("refusing", "were answered 503. Its log:"),
        ("no service", "service is 'default', should be 'lab-10'."),
        ("no message", "message is 'm', should be 'all that an event says'."),
        ("no stack trace", "stackTrace is None, should be 'at lab 10'."),
        ("unsearched", "/api/v1/errors?service=lab-10 has "),
        ("solution", "Every event is counted"),
    ],
)
def test_lab_10_knows_a_twin_that_counts(stack: Stack, tmp_path: Path, name: str, told: str) -> None:
    bench = SharedBench(tmp_path, stack)
    copy = own.mine(bench)
    assert copy.read_text() == own.SKELETON.read_text()
    copy.write_text(third(name))
    verdict = own.verify(bench)
    assert told in verdict.why
    assert not verdict.is_done or name == "solution"  # which is not held to be fast here


@pytest.mark.parametrize(
    ("rates", "is_done", "told"),
    [
        ((600, 279, 237), True, "It answers 600 a second, the naive twin 279."),
        ((600, 237, 279), True, "the naive twin 279."),
        ((260, 237, 279), False, "It answers 260 a second, the naive twin 279."),
        ((260, 279, 237), False, "the naive twin 279."),
        ((600, 279, 56), True, "It answers 600 a second, the naive twin 279."),
        ((200, 279, 56), False, "answered 279 before and 56 after: something else keeps this machine busy"),
        ((100, 56, 279), False, "which is faster can't be told. Try again."),
    ],
)
def test_lab_10_compares_with_the_faster_of_two(
    rates: tuple[float, float, float], is_done: bool, told: str
) -> None:
    verdict = own.compared(*rates)
    assert verdict.is_done is is_done
    assert told in verdict.why
