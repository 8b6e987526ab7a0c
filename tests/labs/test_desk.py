"""What a learner is told to right and wrong answers, and what is kept of it."""

from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from loadtests.labs.__main__ import LABS, main
from loadtests.labs.desk import Desk
from loadtests.labs.lab import Knob, Lab, Mistake, Question, Task, Verdict
from loadtests.labs.progress import Progress
from tests.labs.benches import FakeBench


def lab(task: Task | None = None, least: float = 1) -> Lab:
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
        knob=Knob("a knob", 2, least, 9),
        measure=lambda _, knob: {"much": 10 * knob},
        show=lambda console, found: console.print(f"shown {found['much']:g}"),
        explain=lambda _: "explained",
        checks=(question,),
        hints=("first hint", "second hint"),
        solution=lambda found: f"solved {found['much']:g}",
        passed="kept in mind",
        task=task,
    )


def learn(folder: Path, *lines: str, task: Task | None = None, least: float = 1) -> tuple[str, bool]:
    """What the learner has seen, and whether they go on; after the last line they leave."""
    console, said = Console(record=True, file=StringIO(), width=200), iter(lines)

    def ask(prompt: str) -> str:
        console.print(prompt)
        try:
            return next(said)
        except StopIteration:
            raise EOFError from None

    goes_on = Desk(console, Progress(folder), FakeBench(folder), ask).go_through(lab(task, least))
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
        ("500", "That does not fit the figures above"),
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
    assert seen.index("That does not fit") < seen.index("Right.")


def test_a_knob_may_be_turned_to_nothing(tmp_path: Path) -> None:
    seen, _ = learn(tmp_path, "5", "0", "", "0", "n", least=0)
    assert "shown 0" in seen
    assert "is passed" in seen


@pytest.mark.parametrize("line", ["[/red]", "[bold]x", "\\["])
def test_what_a_learner_types_is_no_markup(tmp_path: Path, line: str) -> None:
    assert f"{line!r} is no number." in learn(tmp_path, line, "5", "", line, "20", "n")[0]


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


def test_another_version_may_be_tried_of_a_task_that_is_done(tmp_path: Path) -> None:
    verdicts = iter((Verdict(True, "it holds"), Verdict(False, "not this one")))
    task = Task("mend it", lambda _: tmp_path / "mine.py", lambda _: next(verdicts), (), "solutions")
    learn(tmp_path, "5", "", "20", "", "n", task=task)
    seen, _ = learn(tmp_path, "", "y", "", "q", task=task)
    assert "It is done. Try another version?" in seen
    assert "Not yet. not this one" in seen
    seen, _ = learn(tmp_path, "", "n", "n", task=task)
    assert "is passed" in seen


@pytest.mark.parametrize("is_timed", [False, True])
def test_what_is_timed_is_measured_and_tried_in_turn(tmp_path: Path, is_timed: bool) -> None:
    bench, was_quiet = FakeBench(tmp_path), list[bool]()

    def note(_: Any, knob: float = 2) -> dict[str, float]:
        was_quiet.append(bench.is_quiet)
        return {"much": 10 * knob}

    def verify(_: Any) -> Verdict:
        note(bench)
        return Verdict(True, "it holds")

    task = Task("mend it", lambda _: tmp_path / "mine.py", verify, hints=(), solutions="solutions")
    timed = replace(lab(task), measure=note, is_timed=is_timed)
    console, lines = Console(file=StringIO()), iter(("5", "7", "", "70", "", "n"))
    Desk(console, Progress(tmp_path), bench, lambda _: next(lines)).go_through(timed)
    assert was_quiet == 3 * [is_timed]


def test_a_learner_with_a_name_is_told_commands_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAB_USER", "ada")
    assert "`make lab N=1 LAB_USER=ada` goes on here" in learn(tmp_path, "q")[0]
    Progress(tmp_path / "learners" / "ada" / "workshop").keep(1, {"passed": True})
    assert main(["--run-dir", str(tmp_path)]) == 0
    assert main(["--reset", "--run-dir", str(tmp_path)]) == 0
    monkeypatch.setenv("LAB_USER", "../ada")
    assert main(["--n", "1", "--run-dir", str(tmp_path)]) == 1
    shown = capsys.readouterr()
    assert "`make lab N=1 LAB_USER=ada` begins" in shown.out
    assert "yes" in shown.out
    assert shown.err.startswith("lab: LAB_USER=../ada: up to 20")
    assert Progress(tmp_path / "learners" / "ada" / "workshop").of(1) == {}


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
    assert shown.count("a quiet machine") == sum(each.is_timed for each in LABS.values())
    copies = [tmp_path / "workshop" / f"lab-{number}" / "mine.py" for number in (2, 10)]
    for each in copies:
        each.parent.mkdir()
        each.touch()
    assert main(["--reset", "--n", "2", "--run-dir", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert [f"Your copy is kept: {each}" in shown for each in copies] == [True, False]
    assert main(["--reset", "--run-dir", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert all(f"Your copy is kept: {each}" in shown for each in copies)
    assert all(each.exists() for each in copies)
    assert Progress(tmp_path / "workshop").of(1) == {}
