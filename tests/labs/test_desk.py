"""What a learner is told to right and wrong answers, and what is kept of it."""

import re
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from loadtests.labs import __main__ as labs_main
from loadtests.labs.__main__ import LABS, main
from loadtests.labs.desk import Desk, Left, parsed
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
        hints=("first hint", "second hint"),
        solution=lambda found: f"solved {found['much']:g}",
    )
    other = replace(question, hints=(), solution=lambda _: "")
    return Lab(
        number=1,
        title="a lab",
        minutes=1,
        idea="an idea",
        predict=other,
        knob=Knob("a knob", 2, least, 9, "ms"),
        measure=lambda _, knob: {"much": 10 * knob},
        show=lambda console, found: console.print(f"shown {found['much']:g}"),
        explain=lambda _: "explained",
        checks=(question,),
        passed="kept in mind",
        task=task,
    )


def learn(
    folder: Path,
    *lines: str,
    task: Task | None = None,
    least: float = 1,
    of: Lab | None = None,
    is_last: bool = False,
) -> tuple[str, bool]:
    """What the learner has seen, and whether they go on; after the last line they leave."""
    console, said = Console(record=True, file=StringIO(), width=200), iter(lines)

    def ask(prompt: str) -> str:
        console.print(prompt)
        try:
            return next(said)
        except StopIteration:
            raise EOFError from None

    desk = Desk(console, Progress(folder), FakeBench(folder), ask)
    goes_on = desk.go_through(of or lab(task, least), is_last)
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


@pytest.mark.parametrize("answer", ["19", "22", "20.0", " 20 ", "2e1"])
def test_an_answer_that_is_close_is_right(tmp_path: Path, answer: str) -> None:
    assert "Right." in learn(tmp_path, "5", "", answer)[0]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("2", "ten times that"),
        ("500", "That does not fit the figures above"),
        ("many", "'many' is no number"),
        ("nan", "no number"),
        ("20%", "A number alone, please."),
        ("2,0", "'2,0' is no number. Decimals have a point."),
    ],
)
def test_a_wrong_answer_gets_what_fits_it(tmp_path: Path, answer: str, told: str) -> None:
    seen, _ = learn(tmp_path, "5", "", answer)
    assert told in seen
    assert "Right." not in seen
    assert not Progress(tmp_path).of(1).get("passed")


@pytest.mark.parametrize("answer", ["0", "-1", "4", "20", "1.5"])
def test_what_is_none_of_the_choices_is_no_wrong_answer(tmp_path: Path, answer: str) -> None:
    of = lab()
    choice = replace(of.checks[0], truth=lambda _: 2, within=0, choices=3)
    seen, _ = learn(tmp_path, "5", "", answer, "3", "2", of=replace(of, checks=(choice,)))
    places = [seen.index(each) for each in ("From 1 to 3, please.", "No. ", "Right.")]
    assert places == sorted(places)
    assert seen.count("No. ") == 1


@pytest.mark.parametrize(
    ("line", "unit", "value"),
    [
        ("1,234", "", 1_234),
        ("12,345.5", "", 12_345.5),
        ("-5", "", -5),
        (".5", "", 0.5),
        ("5.", "", 5),
        ("1.2e+03", "", 1_200),
        ("1e9", "milliseconds", 1e9),
        ("20 ms", "milliseconds", 20),
        ("20MS", "milliseconds", 20),
        ("1 millisecond", "milliseconds", 1),
        ("1,200 milliseconds", "ms", 1_200),
        ("1.5s", "seconds", 1.5),
        ("1 second", "s", 1),
        ("20%", "per cent", 20),
        ("20 per cent", "per cent", 20),
        ("3x", "times", 3),
        ("3 times", "times", 3),
        ("1 ticket", "tickets", 1),
        ("20 Events", "events", 20),
    ],
)
def test_a_number_may_have_its_own_unit(line: str, unit: str, value: float) -> None:
    assert parsed(line, unit) == value


@pytest.mark.parametrize(
    ("line", "unit", "told"),
    [
        ("1.5 s", "milliseconds", "In milliseconds, please."),
        ("1.5 s", "ms", "In milliseconds, please."),
        ("2k", "events", "In events, please."),
        ("5 million", "events", "In events, please."),
        ("20 events/s", "events", "In events, please."),
        ("5 per", "per cent", "In per cent, please."),
        ("20 ms", "", "A number alone, please."),
        ("2k", "", "A number alone, please."),
        *(
            (line, "seconds", f"{line!r} is no number. Decimals have a point.")
            for line in ("2,0", "1,5", "1,5 s", "0,125", "1234,567", "1,23,456", "5,", ",5", "1,2345")
        ),
        *(
            (line, "", f"{line!r} is no number.")
            for line in ("", "many", "well, yes", "nan", "inf", "1e999", "2 000", "~20", "1.2.3", "20 (so)")
        ),
    ],
)
def test_what_is_no_number_or_has_another_unit_is_refused(line: str, unit: str, told: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
        parsed(line, unit)


def test_a_prediction_is_asked_again_until_it_is_a_number(tmp_path: Path) -> None:
    seen, _ = learn(tmp_path, "1,5", "5 s", "5", "q")
    assert "Decimals have a point." in seen
    assert "A number alone, please." in seen
    assert Progress(tmp_path).of(1)["predicted"] == 5


def test_who_wants_a_hint_too_early_is_told_when_there_are_some(tmp_path: Path) -> None:
    seen, _ = learn(tmp_path, "h", "5", "S", "7", "q")
    assert seen.count("come with the questions") == 2
    assert "is no number" not in seen


def test_hints_come_one_at_a_time_and_the_solution_when_it_is_asked_for(tmp_path: Path) -> None:
    seen, _ = learn(tmp_path, "5", "", "h", "H", "h", "S", "20", "n")
    places = [
        seen.index(each) for each in ("first hint", "second hint", "no more hints", "solved 20", "Right.")
    ]
    assert places == sorted(places)
    assert seen.count("solved 20") == 2, "asked for once, and told after the right answer"


def test_each_question_has_hints_and_a_solution_of_its_own(tmp_path: Path) -> None:
    first = lab().checks[0]
    second = replace(first, hints=("another hint",), solution=lambda _: "solved otherwise")
    seen, _ = learn(
        tmp_path, "5", "", "h", "20", "h", "h", "s", "20", "n", of=replace(lab(), checks=(first, second))
    )
    order = ["first hint", "Right.", "another hint", "no more hints", "solved otherwise"]
    places = [seen.index(each) for each in order]
    assert places == sorted(places)
    assert "second hint" not in seen
    assert seen.count("solved 20") == 1


def test_the_knob_measures_again_and_the_check_is_of_that(tmp_path: Path) -> None:
    seen, _ = learn(tmp_path, "5", "99", "7", "", "20", "70", "n")
    assert "From 1 to 9, please." in seen
    assert "shown 70" in seen
    assert seen.index("That does not fit") < seen.index("Right.")


def test_a_knob_takes_its_own_unit_and_no_other(tmp_path: Path) -> None:
    seen, _ = learn(tmp_path, "5", "7 s", "1,5", "many", "7 ms", "", "70", "n")
    for told in ("In milliseconds, please.", "Decimals have a point.", "'many' is no number.", "shown 70"):
        assert told in seen


def test_a_knob_that_counts_takes_whole_numbers(tmp_path: Path) -> None:
    counting = replace(lab(), knob=Knob("how many", 2, 1, 9, is_whole=True))
    seen, _ = learn(tmp_path, "5", "2.5", "3.0", "", "30", "n", of=counting)
    assert "A whole number, please." in seen
    assert "shown 25" not in seen
    assert "shown 30" in seen


def test_labs_that_count_something_with_their_knob_say_so() -> None:
    assert [number for number, each in LABS.items() if each.knob.is_whole] == [2, 7, 8, 10]


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


def test_what_was_predicted_is_judged_by_the_knob_as_it_was_first(tmp_path: Path) -> None:
    seen, _ = learn(tmp_path, "70", "7", "q")
    assert "You predicted 70, it was 20: not what" in seen
    again, _ = learn(tmp_path, "q")
    assert "shown 70" in again
    assert "That is with the knob at 7 ms." in again
    assert "You predicted" not in again
    assert "explained" not in again
    back, _ = learn(tmp_path, "2", "q")
    assert "shown 20" in back
    assert "You predicted 70, it was 20" in learn(tmp_path, "q")[0]


@pytest.mark.parametrize(
    "kept",
    [
        {"measured": None, "knob": 2},
        {"measured": {}, "knob": 2},
        {"measured": {"many": 20}, "knob": 2},
        {"measured": {"much": None}, "knob": 2},
        {"measured": {"much": "20"}, "knob": 2},
        {"measured": [20], "knob": 2},
        {"measured": {"much": float("nan")}, "knob": 2},
        {"measured": {"much": 20}},
        {"measured": {"much": 20}, "knob": "two"},
        {"measured": {"much": 20}, "knob": 2, "answered": "all"},
    ],
)
def test_what_an_earlier_version_has_kept_is_measured_anew(tmp_path: Path, kept: Any) -> None:
    Progress(tmp_path).keep(1, {"predicted": 5, "answered": 1, "passed": True} | kept)
    seen, _ = learn(tmp_path, "", "20", "n")
    assert seen.count("of an earlier version: it is measured anew") == 1
    assert "we go on where you left" not in seen
    assert "Predict first" not in seen
    assert "You predicted 5, it was 20" in seen
    assert "Right." in seen
    assert "earlier version" not in learn(tmp_path, "q")[0]


@pytest.mark.parametrize("predicted", [None, "many", [5], float("nan")])
def test_a_prediction_that_is_no_number_is_asked_again(tmp_path: Path, predicted: Any) -> None:
    Progress(tmp_path).keep(1, {"predicted": predicted, "measured": {"much": 20}, "knob": 2})
    seen, _ = learn(tmp_path, "5", "q")
    assert "Predict first" in seen
    assert "You predicted 5, it was 20" in seen


@pytest.mark.parametrize("number", LABS)
def test_every_lab_does_without_values_of_another_shape(tmp_path: Path, number: int) -> None:
    def leave(*_: Any) -> Any:
        raise Left

    asked = replace(LABS[number], measure=leave, is_timed=False)
    measured: Any
    for measured in (None, {}, [], {"near": None}, [{}]):
        Progress(tmp_path).keep(number, {"predicted": 5, "knob": asked.knob.default, "measured": measured})
        assert "it is measured anew" in learn(tmp_path, of=asked)[0]


def test_after_the_last_lab_there_is_no_next(tmp_path: Path) -> None:
    seen, goes_on = learn(tmp_path, "5", "", "20", "y", is_last=True)
    assert "Lab 1 is passed." in seen
    assert "next lab" not in seen
    assert not goes_on


def test_who_interrupts_is_told_the_lab_they_are_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    second = replace(lab(), number=2, measure=interrupted)
    monkeypatch.setattr(labs_main, "LABS", {1: lab(), 2: second})
    lines = iter(("5", "", "20", "y", "5"))
    monkeypatch.setattr("builtins.input", lambda _: next(lines))
    assert main(["--n", "1", "--run-dir", str(tmp_path)]) == 130
    assert "`make lab N=2` goes on where you were" in capsys.readouterr().err


def test_a_folder_that_nobody_can_write_to_is_told_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["--n", "1", "--run-dir", str(tmp_path / "file")]) == 1
    told = capsys.readouterr().err
    assert told.startswith("lab: ")
    assert str(tmp_path / "file") in told
    assert told.count("\n") == 1


def test_a_task_is_tried_until_it_is_done(tmp_path: Path) -> None:
    verdicts = iter((Verdict(False, "still wrong"), Verdict(True, "it holds")))
    task = Task(
        about="mend it",
        file=lambda bench: bench.folder / "mine.py",
        verify=lambda _: next(verdicts),
        hints=("look there",),
        solutions="solutions",
    )
    seen, _ = learn(tmp_path, "5", "", "20", "H", "S", "try", "", "", "n", task=task)
    order = [
        *("mend it", "look there", "See solutions/", "Enter alone tries your copy; or type h, s or q."),
        *("Not yet. still wrong", "Done. it holds", "is passed"),
    ]
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
