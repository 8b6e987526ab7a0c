"""The workshop: what a learner is told to right and wrong answers, and each experiment in a short version."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from loadtests.bootstrap import ROOT
from loadtests.labs import broken, freshness, hot_path, lies, one_request, own, pool, race
from loadtests.labs.__main__ import LABS, main
from loadtests.labs.desk import Desk
from loadtests.labs.lab import Knob, Lab, Mistake, Question, Task, Verdict
from loadtests.labs.progress import Progress
from loadtests.stack import Stack
from tests.parts import alone


class FakeBench:
    """Without servers, for a lab that needs none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def stack(self, **_: Any) -> Iterator[Stack]:
        raise AssertionError("this lab needs no servers")
        yield

    def step(self, text: str) -> None:
        pass


class SharedBench(FakeBench):
    def __init__(self, folder: Path, stack: Stack) -> None:
        super().__init__(folder)
        self._stack = stack

    @contextmanager
    def stack(self, **_: Any) -> Iterator[Stack]:
        """Its settings are those of the test run."""
        with alone(self._stack):
            yield self._stack


TRIES: list[str] = []


def lab(task: Task | None = None) -> Lab:
    """The truth is ten times the knob."""
    question = Question(
        "How much?",
        lambda found: float(found["much"]),
        within=0.1,
        mistakes=(Mistake(lambda answer, found: answer == found["much"] / 10, "ten times that"),),
    )
    return Lab(
        number=1,
        title="a lab",
        minutes=1,
        idea="an idea",
        predict=question,
        knob=Knob("a knob", 2, 1, 9),
        measure=lambda _, knob: {"much": 10 * knob},
        show=lambda console, found: console.print(f"shown {found['much']:g}"),
        explain=lambda _: "explained",
        checks=(question,),
        hints=("first hint", "second hint"),
        solution=lambda found: f"solved {found['much']:g}",
        passed="kept in mind",
        task=task,
    )


def learn(folder: Path, *lines: str, task: Task | None = None) -> tuple[str, bool]:
    """What the learner has seen, and whether they go on; after the last line they leave."""
    console, said = Console(record=True, file=StringIO(), width=200), iter(lines)

    def ask(prompt: str) -> str:
        console.print(prompt)
        try:
            return next(said)
        except StopIteration:
            raise EOFError from None

    goes_on = Desk(console, Progress(folder), FakeBench(folder), ask).go_through(lab(task))
    return console.export_text(), goes_on


def test_a_lab_asks_measures_explains_and_checks(tmp_path: Path) -> None:
    seen, goes_on = learn(tmp_path, "5", "", "20", "y")
    order = [
        "an idea",
        "Predict first",
        "shown 20",
        "You predicted 5, it was 20: not what",
        "explained",
        "Right.",
    ]
    places = [seen.index(each) for each in order]
    assert places == sorted(places)
    assert "Lab 1 is passed. kept in mind" in seen
    assert goes_on


@pytest.mark.parametrize("answer", ["19", "22", "20.0", " 20 ", "20%"])
def test_an_answer_that_is_close_is_right(tmp_path: Path, answer: str) -> None:
    assert "Right." in learn(tmp_path, "5", "", answer)[0]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("2", "ten times that"),
        ("500", "Not what was measured here"),
        ("many", "'many' is no number"),
        ("nan", "no number"),
    ],
)
def test_a_wrong_answer_gets_what_fits_it(tmp_path: Path, answer: str, told: str) -> None:
    seen, _ = learn(tmp_path, "5", "", answer)
    assert told in seen
    assert "Right." not in seen
    assert not Progress(tmp_path).of(1).get("passed")


def test_hints_come_one_at_a_time_and_the_solution_when_it_is_asked_for(tmp_path: Path) -> None:
    seen, _ = learn(tmp_path, "5", "", "h", "h", "h", "s", "20", "n")
    places = [
        seen.index(each) for each in ("first hint", "second hint", "no more hints", "solved 20", "Right.")
    ]
    assert places == sorted(places)


def test_the_knob_measures_again_and_the_check_is_of_that(tmp_path: Path) -> None:
    seen, _ = learn(tmp_path, "5", "99", "7", "", "20", "70", "n")
    assert "From 1 to 9, please." in seen
    assert "shown 70" in seen
    assert seen.index("Not what was measured") < seen.index("Right.")


def test_a_lab_can_be_left_and_entered_again(tmp_path: Path) -> None:
    seen, goes_on = learn(tmp_path, "5", "7", "q")
    assert "Kept." in seen
    assert not goes_on
    again, _ = learn(tmp_path, "", "70", "n")
    assert "we go on where you left" in again
    assert "Predict first" not in again
    assert "passed" in again


def test_a_task_is_tried_until_it_is_done(tmp_path: Path) -> None:
    verdicts = iter((Verdict(False, "still wrong"), Verdict(True, "it holds")))
    task = Task(
        about="mend it",
        file=lambda bench: bench.folder / "mine.py",
        verify=lambda _: next(verdicts),
        hints=("look there",),
        solutions="solutions",
    )
    seen, _ = learn(tmp_path, "5", "", "20", "h", "s", "", "", "n", task=task)
    order = ["mend it", "look there", "See solutions/", "Not yet. still wrong", "Done. it holds", "is passed"]
    places = [seen.index(each) for each in order]
    assert places == sorted(places)


def test_what_is_kept_can_be_forgotten_and_a_broken_file_is_none(tmp_path: Path) -> None:
    progress = Progress(tmp_path)
    progress.keep(1, {"predicted": 3})
    progress.keep(2, {"passed": True})
    progress.reset(1)
    assert (progress.of(1), progress.of(2)) == ({}, {"passed": True})
    progress.reset()
    assert progress.of(2) == {}
    (tmp_path / "progress.json").write_text("{half")
    assert progress.of(1) == {}


def test_the_list_tells_what_is_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "workshop").mkdir()
    Progress(tmp_path / "workshop").keep(1, {"passed": True})
    assert main(["--run-dir", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    for each in LABS.values():
        assert each.title in shown
    assert "yes" in shown
    assert main(["--reset", "--run-dir", str(tmp_path)]) == 0
    assert Progress(tmp_path / "workshop").of(1) == {}


# --- the labs themselves ---


@pytest.mark.parametrize("number", LABS)
def test_a_page_names_its_lab_and_files_that_are_there(number: int) -> None:
    page = ROOT / LABS[number].page
    text = page.read_text()
    assert text.startswith(f"# Lab {number}: {LABS[number].title}")
    assert f"make lab N={number}" in text


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
    assert lab.solution(measured) or lab.task


def test_lab_1_on_real_twins(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_request, "TRACES", 1)
    found = one_request.measure(SharedBench(tmp_path, stack), 0.0)
    right_and_wrong(LABS[1], found)
    assert one_request.round_trips(found) == 4
    assert found["far"]["naive_sync"] > 4 * one_request.FARTHER
    assert not [
        step for step in found["near"]["async_dedup"]["steps"] if step["who"] == "MySQL" and step["at"] < 1
    ]


def test_lab_2_on_the_real_twin(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race, "SECONDS", 1.5)
    found = race.measure(SharedBench(tmp_path, stack), 16)
    assert found["end"] == found["start"] + 1
    assert found["recorded"] < found["acknowledged"]
    right_and_wrong(LABS[2], found)


@pytest.mark.parametrize("name", ["original", "upsert", "for_update", "compare", "broken"])
def test_lab_2_knows_a_copy_that_is_mended(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(race, "SECONDS", 1.5)
    bench = SharedBench(tmp_path, stack)
    copy = race.mine(bench)
    assert copy.read_text() == race.ORIGINAL.read_text()
    if name == "broken":
        copy.write_text("no Python")
    elif name != "original":
        shutil.copy(ROOT / "workshop" / "solutions" / "lab-2" / f"{name}.py", copy)
    verdict = race.verify(bench)
    assert verdict.is_done is (name not in ("original", "broken")), verdict.why
    assert ("does not start" in verdict.why) is (name == "broken")


def test_lab_3_on_the_real_twin(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "SECONDS", 1.0)
    monkeypatch.setattr(pool, "SIZES", (1, 4, 16, 32))
    found = pool.measure(SharedBench(tmp_path, stack), 20.0)
    assert [point["size"] for point in found] == [1, 4, 16, 32]
    assert all(point["rate"] > 0 for point in found)
    assert pool.of(1, found)["rate"] < pool.by_little(4, found)
    right_and_wrong(LABS[3], found)


def test_lab_5_on_the_real_twin(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lies, "SECONDS", 6.0)
    found = lies.measure(SharedBench(tmp_path, stack), 2.0)
    right_and_wrong(LABS[5], found)
    assert lies.sent_in_the_freeze(found) < lies.due_in_the_freeze(found) / 2
    assert lies.p99(found["open"]["took"]) > 1_000
    assert lies.averaged(found["open"]) < lies.p99(found["open"]["took"])


def test_a_straight_line_within_a_bucket_is_not_what_was_measured() -> None:
    assert lies.by_buckets([5.0] * 99 + [150.0] * 2) == pytest.approx(100 + 900 * (0.99 * 101 - 99) / 2)
    assert lies.by_buckets([20_000.0] * 10) == lies.BUCKETS[-1]


def test_lab_4_on_real_twins(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hot_path, "SECONDS", 1.5)
    found = hot_path.measure(SharedBench(tmp_path, stack), 100.0)
    right_and_wrong(LABS[4], found)
    assert found["far"]["naive_sync"]["waited"] > 300
    assert found["far"]["async_dedup"]["waited"] < found["far"]["naive_sync"]["waited"] / 2
    assert all(
        points["async_dedup"]["recorded"] == points["async_dedup"]["acknowledged"]
        for points in (found["near"], found["far"])
    )


def test_lab_6_on_the_real_twin(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshness, "INTERVALS", 2)
    found = freshness.measure(SharedBench(tmp_path, stack), stack.settings.flush_interval)
    right_and_wrong(LABS[6], found)
    assert 0 < freshness.mean_age(found) < 2 * found["interval"]
    assert found["wait"] < 1_000 * found["interval"]


@pytest.mark.parametrize(("number", "state"), [(1, "direct"), (2, "redis"), (4, "redis")])
def test_lab_7_on_real_twins(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, state: str
) -> None:
    monkeypatch.setattr(broken, "SECONDS", 4.0)
    monkeypatch.setattr(broken, "BEFORE", 1.0)
    monkeypatch.setattr(broken, "AWAY", 1.5)
    found = broken.measure(SharedBench(tmp_path, stack), number)
    assert found["outcomes"]["async_dedup"]["state"] == state
    assert broken.lost(found) == 0
    assert (found["outcomes"]["naive_sync"]["failed"] > 0) is (found["part"] == "mysql")
    right_and_wrong(LABS[7], found)


@pytest.mark.parametrize(
    ("name", "told"),
    [("skeleton", "0 are counted"), ("broken", "It does not answer"), ("solution", "it is faster")],
)
def test_lab_10_knows_a_twin_that_counts(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, told: str
) -> None:
    monkeypatch.setattr(own, "SECONDS", 2.0)
    monkeypatch.setattr(own, "COUNT_SECONDS", 2.0)
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


def test_lab_10_on_real_twins(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own, "SECONDS", 1.0)
    found = own.measure(SharedBench(tmp_path, stack), 8)
    assert own.times_as_fast(found) > 1
    right_and_wrong(LABS[10], found)
