"""Each lab, in its short version, gone through as its page begins it; and the other commands of the pages."""

import json
import random
import re
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from loadtests.bootstrap import ROOT
from loadtests.demo import FLAWS
from loadtests.labs import broken, freshness, hot_path, lies, noisy, one_request, own, pool, rush
from loadtests.labs.__main__ import LABS
from loadtests.labs.lab import Lab
from loadtests.labs.progress import WORKSHOP, Progress
from loadtests.load.pace import PACE
from loadtests.load.subjects import ASYNC, NAIVE
from loadtests.stack.place import FIRST_PORTS, LEARNERS
from tests.conftest import Install
from tests.labs.learner import Sitting, go_through
from tests.terminal import run, started_by

PAGES = sorted((ROOT / "workshop").glob("*.md"))
NAMED = {1: "make lab N=1 LAB_USER=ada", 2: "make lab N=2 LAB_USER=bob"}
"""Labs that are gone through by learners with a name, both at once; without one they are begun and left."""
KNOBS = {"make lab N=7": (4.0,), "make lab N=9": (60.0,)}
"""What else a lab is tried with."""
ELSEWHERE = {
    "make bench": "loadtests.bench",  # minutes; tests/test_bench.py runs its smoke profile
    # Needs a twin of the learner's own; tests/test_bench.py has one.
    "make bench HOST=http://127.0.0.1:PORT": "loadtests.bench --host http://127.0.0.1:PORT",
    "make own": "loadtests.labs --serve",  # tests/labs/test_own.py
    "make up": "loadtests.stack up",  # tests/stack/test_stack.py
    "make down": "loadtests.stack down",
    "make slides": "loadtests.labs.handouts.slides",  # tests/labs/test_slides.py
    "make sheet": "loadtests.labs.handouts.sheet",  # tests/labs/test_sheet.py
    "make load USERS=50": "loadtests.play --users 50",  # it ends with Ctrl-C; tests/test_play.py
    "make load USERS=50 TWINS=naive_sync": "loadtests.play --users 50 --twins naive_sync",
    "make lab": "loadtests.labs --n 1",  # the first lab's command
    "make load": "loadtests.play",
    "make demo": "loadtests.demo --flaw lost-update",
    **{f"make demo FLAW={flaw}": f"loadtests.demo --flaw {flaw}" for flaw in FLAWS},  # tests/test_demo.py
    # It would take from the tests what they run with.
    "make clean": "rm -rf .run .venv grafana/frontend/node_modules grafana/frontend/generated",
}
"""Commands that are run by other tests, or not at all, by what `make` does last for them."""


class Course:
    """The labs in one run folder; who comes to one again gets what it has measured before."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self._sittings: dict[str, Sitting] = {}

    def at(self, command: str) -> Sitting:
        if command not in self._sittings:
            self._sittings[command] = go_through(command, self.run_dir, KNOBS.get(command, ()))
        return self._sittings[command]

    def found(self, number: int) -> Any:
        """With the knob as it is at first."""
        return self.at(NAMED.get(number, f"make lab N={number}")).measured[0]


@pytest.fixture(scope="module")
def course(install: Install) -> Iterator[Course]:
    with tempfile.TemporaryDirectory(prefix="twins-") as folder:
        run_dir = install(Path(folder).resolve())
        # By their names alone those of another test run on this machine would have the same ports.
        blocks = dict(zip(("ada", "bob"), random.sample(FIRST_PORTS, 2), strict=True))
        for learner in blocks:
            install(run_dir / LEARNERS / learner)
        (run_dir / LEARNERS / "ports.json").write_text(json.dumps(blocks))
        yield Course(run_dir)


def commands() -> list[str]:
    """Return what the pages say to type; all labs are in their short version here."""
    found: set[str] = set()
    for page in PAGES:
        text = page.read_text()
        fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        lines = [line.partition(" #")[0].strip() for block in fenced for line in block.splitlines()]
        inline = re.findall(r"`((?:make|python3?|curl) [^`\n]+)`", text)
        found |= {each.replace(" LAB_SHORT=1", "") for each in (*lines, *inline) if each}
    return sorted(found)


def test_two_learners_at_once_do_not_mix(course: Course) -> None:
    with ThreadPoolExecutor(len(NAMED)) as pool:
        ada, bob = pool.map(course.at, NAMED.values())
    assert one_request.round_trips(ada.measured[0]) == 4
    assert bob.measured[0]["end"] == bob.measured[0]["start"] + 1
    ports = [set(re.findall(r"on (?:port )?(\d{5})\b", each.said)) for each in (ada, bob)]
    assert len(ports[0] | ports[1]) == 8
    assert "`make lab N=2 LAB_USER=bob` goes on here" in bob.said
    for name, number in (("ada", 1), ("bob", 2)):
        progress = Progress(course.run_dir / LEARNERS / name / WORKSHOP)
        assert [each for each in LABS if progress.of(each)] == [number]


@pytest.mark.parametrize("command", commands())
def test_every_command_of_a_page_works(command: str, course: Course) -> None:
    if command in ELSEWHERE:
        assert started_by(command, course.run_dir) == ELSEWHERE[command]
    elif command in (f"make lab N={number}" for number in NAMED):
        assert f"Kept. `{command}` goes on here." in run(command, course.run_dir, "q\n").stdout
    elif re.match(r"make lab N=\d+", command):
        assert re.search(r"Lab \d+ is passed|Your copy: ", course.at(command).said)
    else:
        assert command in ("make labs", "make lab-reset"), "say here what it should do"
        shown = run(command, course.run_dir)
        assert shown.returncode == 0, shown.stderr
        told = "Forgotten." if command == "make lab-reset" else LABS[1].title
        assert told in shown.stdout


def right_and_wrong(lab: Lab, measured: Any) -> None:
    """Each check takes its own truth, and not what is far from it."""
    for question in (lab.predict, *lab.checks):
        truth = question.truth(measured)
        assert question.is_right(truth, measured)
        away = abs(truth) + question.least + 1
        assert not question.is_right(truth + away, measured)
        assert not question.is_right(truth - away, measured)
    console = Console(file=StringIO(), width=100)
    lab.show(console, measured)
    assert lab.explain(measured)
    assert all(question.solution(measured) for question in lab.checks)


@pytest.mark.parametrize("number", [each for each in LABS if each != 9])
def test_a_lab_with_servers_tells_once_where_it_is_drawn(course: Course, number: int) -> None:
    """Lab 9 draws by itself, on the same port."""
    said = course.at(NAMED.get(number, f"make lab N={number}")).said
    told = re.findall(r"live picture, while it measures: http://127\.0\.0\.1:\d+$", said, re.MULTILINE)
    assert len(told) == 1


def test_one_variable_makes_everything_short() -> None:
    assert PACE < 1
    assert [each.SECONDS for each in (rush, pool, hot_path, lies, broken, own)] == [
        pytest.approx(each * PACE) for each in (3, 3, 4, 10, 8, 3)
    ]


def test_lab_1_on_real_twins(course: Course) -> None:
    found = course.found(1)
    right_and_wrong(LABS[1], found)
    assert one_request.round_trips(found) == 4
    assert found["far"][NAIVE] > 4 * one_request.FARTHER
    assert not [step for step in found["near"][ASYNC]["steps"] if step["who"] == "MySQL" and step["at"] < 1]
    asked = [step["what"] for step in found["near"][ASYNC]["steps"] if step["who"] == "Redis"]
    assert asked[0].startswith("EVALSHA")


def test_lab_2_on_the_real_twin(course: Course) -> None:
    found = course.found(2)
    assert found["end"] == found["start"] + 1
    assert found["recorded"] < found["acknowledged"]
    right_and_wrong(LABS[2], found)


def test_lab_3_on_the_real_twin(course: Course) -> None:
    found = course.found(3)
    assert [point["size"] for point in found] == list(pool.SIZES)
    assert all(point["rate"] > 0 for point in found)
    assert pool.of(1, found)["rate"] < pool.by_little(4, found)
    right_and_wrong(LABS[3], found)


def test_lab_4_on_real_twins(course: Course) -> None:
    found = course.found(4)
    right_and_wrong(LABS[4], found)
    assert found["far"][NAIVE]["waited"] > 300
    assert found["far"][ASYNC]["waited"] < found["far"][NAIVE]["waited"] / 2
    for points in (found["near"], found["far"]):
        assert points[ASYNC]["recorded"] == points[ASYNC]["acknowledged"]
        assert 0 <= points[ASYNC]["late"] < hot_path.SETTLE_SECONDS


def test_lab_5_on_the_real_twin(course: Course) -> None:
    found = course.found(5)
    right_and_wrong(LABS[5], found)
    assert lies.sent_in_the_freeze(found) < lies.due_in_the_freeze(found) / 2
    for each in (found["closed"], found["open"], found["full"]):
        began, ended = each["stopped"]
        assert ended - began >= found["freeze"]
    assert lies.p99(found["open"]["took"]) > 1_000
    assert lies.averaged(found["open"]) < lies.p99(found["open"]["took"])


def test_a_straight_line_within_a_bucket_is_not_what_was_measured() -> None:
    assert lies.by_buckets([5.0] * 99 + [150.0] * 2) == pytest.approx(100 + 900 * (0.99 * 101 - 99) / 2)
    assert lies.by_buckets([20_000.0] * 10) == lies.BUCKETS[-1]


def test_lab_6_on_the_real_twin(course: Course) -> None:
    found = course.found(6)
    right_and_wrong(LABS[6], found)
    assert found["interval"] == freshness.INTERVAL
    assert 0 < freshness.mean_age(found) < freshness.oldest(found)
    assert freshness.mean_age(found) < 2 * found["interval"]
    assert found["flushes"] >= freshness.INTERVALS - 1
    assert 0 < found["flush"] < 1_000 * found["interval"]
    assert found["wait"] < 1_000 * found["interval"]


@pytest.mark.parametrize(("turned", "part", "state"), [(0, "redis", "direct"), (1, "mysql", "redis")])
def test_lab_7_on_real_twins(course: Course, turned: int, part: str, state: str) -> None:
    found = course.at("make lab N=7").measured[turned]
    assert found["part"] == part
    assert found["outcomes"][ASYNC]["state"] == state
    assert broken.lost(found) == 0
    assert (found["outcomes"][NAIVE]["failed"] > 0) is (part == "mysql")
    right_and_wrong(LABS[7], found)


def test_lab_8_on_real_twins(course: Course) -> None:
    found = course.found(8)
    naive, async_ = (found["outcomes"][twin] for twin in (NAIVE, ASYNC))
    assert async_["passed"] <= async_["may"] + 1
    assert all(each["seconds"] >= noisy.SECONDS for each in (naive, async_))
    assert async_["refused"] > 0
    assert async_["sold"] == noisy.BUDGET
    assert naive["sold"] >= noisy.BUDGET
    assert async_["folded"] > 0
    assert (naive["quiet_refused"], async_["quiet_refused"]) == (0, 0)
    right_and_wrong(LABS[8], found)


def test_lab_10_on_real_twins(course: Course) -> None:
    found = course.found(10)
    assert own.times_as_fast(found) > 1
    right_and_wrong(LABS[10], found)
