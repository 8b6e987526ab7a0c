"""Each lab's checks take right answers and no others, on a slow machine too; a known mistake has its hint."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rich.console import Console

from loadtests.labs import broken, freshness, lies, noisy, one_request, pool
from loadtests.labs.__main__ import LABS
from loadtests.labs.desk import Desk
from loadtests.labs.lab import Lab
from loadtests.labs.progress import Progress
from loadtests.load.subjects import ASYNC, NAIVE
from tests.labs.benches import FakeBench
from tests.labs.found import FOUND, lab_1, lab_3, lab_5, lab_6, lab_7, lab_8

SLOWER = (1, 5)
OWN_TESTS = {9}
"""Its truth is in recordings, which no machine makes slower: test_dashboard.py."""
CHECKED = {number: lab for number, lab in LABS.items() if number not in OWN_TESTS}
Answer = Callable[[Any], float | None]
"""To what was measured; None where nobody would give it."""


class Told(NamedTuple):
    """What a learner says to a check."""

    right: Answer
    """By the arithmetic that the lab teaches, from the figures that it shows."""
    wrong: Sequence[Answer]
    """In the order of the known mistakes."""


def near(found: Any, twin: str) -> float:
    return float(found["near"][twin]["answered"])


TOLD: dict[int, Sequence[Told]] = {
    1: (
        Told(
            lambda found: round(near(found, NAIVE)) + 4 * one_request.FARTHER,
            (
                lambda found: near(found, NAIVE) + one_request.FARTHER,
                lambda found: near(found, NAIVE),
                lambda found: near(found, NAIVE) + 2 * 4 * one_request.FARTHER,
            ),
        ),
        Told(
            lambda found: round(near(found, ASYNC)),
            (lambda found: near(found, ASYNC) + 4 * one_request.FARTHER,),
        ),
    ),
    2: (
        Told(
            lambda found: found["start"] + 1,
            (lambda found: found["start"] + 2, lambda found: found["start"]),
        ),
    ),
    3: (
        Told(
            lambda found: 4 * round(pool.of(1, found)["rate"]),
            (lambda found: 4 * pool.held(found), lambda found: pool.of(1, found)["rate"]),
        ),
        Told(lambda _: 16, (lambda _: 32,)),
    ),
    4: (
        Told(
            lambda found: 8_000 / round(found["far"][NAIVE]["waited"]),
            (lambda found: found["far"][NAIVE]["rate"] / 8, lambda found: found["near"][NAIVE]["rate"]),
        ),
    ),
    5: (
        Told(
            lambda found: lies.RATE * found["freeze"],
            (
                lambda _: lies.USERS,
                lambda found: lies.RATE * lies.FREEZE if found["freeze"] != lies.FREEZE else None,
            ),
        ),
        Told(lambda _: lies.USERS, (lambda _: 0, lambda found: lies.RATE * found["freeze"])),
    ),
    6: (
        Told(
            lambda found: found["interval"] / 2,
            (lambda found: found["interval"], lambda found: found["wait"] / 1_000),
        ),
        Told(
            lambda found: freshness.DEADLINE - round(freshness.oldest(found) - found["interval"], 1),
            (lambda _: 2 * freshness.DEADLINE, lambda _: freshness.DEADLINE / 2),
        ),
    ),
    7: (
        Told(
            lambda found: broken.STATES.index(found["outcomes"][ASYNC]["state"]) + 1,
            (
                lambda found: 3 if found["part"] == "redis" else None,
                lambda found: 1 if found["part"] == "redis" else None,
                lambda found: 2 if found["part"] != "redis" else None,
            ),
        ),
    ),
    8: (
        Told(
            lambda found: noisy.BURST + noisy.RATE * round(found["outcomes"][ASYNC]["seconds"], 1),
            (
                lambda found: noisy.RATE * round(found["outcomes"][ASYNC]["seconds"], 1),
                lambda found: noisy.passed(found, NAIVE) if found["processes"] > 1 else None,
                lambda found: 2 * found["outcomes"][ASYNC]["may"],
            ),
        ),
        Told(
            lambda found: found["outcomes"][NAIVE]["sold"] - noisy.BUDGET,
            (lambda found: found["outcomes"][NAIVE]["sold"], lambda _: 0),
        ),
        Told(lambda _: 0, (lambda found: found["outcomes"][ASYNC]["refused"],)),
    ),
    10: (),
}
"""By lab, check by check."""


def cases() -> list[Any]:
    """Return labs, each with what it may have found."""
    found = [(number, FOUND[number](slow)) for number in FOUND for slow in SLOWER]
    # With other knobs: for the tolerance of a check the ends of them matter.
    found += [(1, lab_1(1, away=200)), (1, lab_1(5, away=200)), (5, lab_5(1, freeze=0.5))]
    found += [(6, lab_6(slow, interval)) for interval in (0.5, 8.0) for slow in SLOWER]
    found += [(7, lab_7(1, "worker", "redis"))]
    return [pytest.param(*each, id=f"{each[0]}-{place}") for place, each in enumerate(found)]


def test_nothing_is_left_out() -> None:
    assert set(FOUND) == set(TOLD) == set(LABS) - OWN_TESTS
    for number, lab in CHECKED.items():
        known = [len(question.mistakes) for question in lab.checks]
        assert [len(told.wrong) for told in TOLD[number]] == known
        assert not lab.predict.mistakes, "nobody is told of them"
    made = {
        (case.values[0], check, mistake)
        for case in cases()
        for check, told in enumerate(TOLD[case.values[0]])
        for mistake, wrong in enumerate(told.wrong)
        if wrong(case.values[1]) is not None
    }
    assert len(made) == sum(len(question.mistakes) for lab in CHECKED.values() for question in lab.checks)


def test_each_check_has_hints_and_a_solution_of_its_own() -> None:
    for number, lab in CHECKED.items():
        for found in (FOUND[number](slow) for slow in SLOWER):
            assert all(question.hints and question.solution(found) for question in lab.checks)
            assert len({question.solution(found) for question in lab.checks}) == len(lab.checks)
        assert len({question.hints for question in lab.checks}) == len(lab.checks)
        assert not lab.predict.hints, "nobody can ask for them"


def learn(lab: Lab, found: Any, answers: Sequence[object], folder: Path) -> str:
    """Return what a learner is told who gives these answers to the checks, and then leaves."""
    console, lines = Console(record=True, file=StringIO(), width=1_000), iter((0, "", *answers))

    def ask(_: str) -> str:
        line = next(lines, None)
        if line is None:
            raise EOFError
        return str(line)

    measured = replace(lab, measure=lambda *_: found, task=None)
    Desk(console, Progress(folder), FakeBench(folder), ask).go_through(measured)
    return console.export_text()


@pytest.mark.parametrize(("number", "found"), cases())
def test_right_answers_pass(number: int, found: Any, tmp_path: Path) -> None:
    lab = LABS[number]
    ways: dict[str, list[object]] = {
        "reasoned": [told.right(found) for told in TOLD[number]],
        "measured": [question.truth(found) for question in lab.checks],
        "rounded": [f"{question.truth(found):.3g}" for question in lab.checks],
    }
    for way, answers in ways.items():
        said = learn(lab, found, answers, tmp_path / way)
        assert said.count("Right.") == len(lab.checks), (way, answers, said)
        assert "is passed" in said


@pytest.mark.parametrize(("number", "found"), cases())
def test_what_is_far_from_right_is_refused(number: int, found: Any, tmp_path: Path) -> None:
    lab = LABS[number]
    for question in (lab.predict, *lab.checks):
        truth = question.truth(found)
        away = abs(truth) + 2 * question.least + 1
        assert not [each for each in (truth - away, truth + away) if question.is_right(each, found)]
    if lab.checks:
        said = learn(lab, found, [1e9], tmp_path)
        choices = lab.checks[0].choices
        assert (f"From 1 to {choices}, please." if choices else "No. ") in said
        assert "Right." not in said


@pytest.mark.parametrize(("number", "found"), cases())
def test_each_known_mistake_gets_its_own_hint(number: int, found: Any, tmp_path: Path) -> None:
    lab, right = LABS[number], [told.right(found) for told in TOLD[number]]
    for check, (question, told) in enumerate(zip(lab.checks, TOLD[number], strict=True)):
        for mistake, wrong in zip(question.mistakes, told.wrong, strict=True):
            if (answer := wrong(found)) is None:
                continue
            said = learn(lab, found, [*right[:check], answer], tmp_path / str(answer))
            hint = mistake.hint(found) if callable(mistake.hint) else mistake.hint
            assert f"No. {hint}" in said, (answer, said)
            assert said.count("Right.") == check


def test_the_right_arithmetic_passes_though_something_held_up_the_measurement(tmp_path: Path) -> None:
    found = lab_1(1, away=20)
    found["far"][NAIVE] += 100
    said = learn(LABS[1], found, [near(found, NAIVE) + 4 * one_request.FARTHER], tmp_path)
    assert "Right.\nnaive_sync: 86 ms and 4 times 20 ms, 166 ms; measured: 267 ms. Each is the middle" in said
    assert "does not explain" not in one_request.LAB.checks[0].solution(lab_1(1, away=20))


@pytest.mark.parametrize(("largest", "bends"), [(29 * 32 * 0.85, False), (29 * 32 * 0.7, True)])
def test_lab_3_tells_of_a_bend_where_there_is_one(largest: float, bends: bool) -> None:
    found = lab_3(1)
    found[-1]["rate"] = largest
    said = pool.explain(found)
    assert ("something else is full, here the CPU" in said) is bends
    assert ("nothing else is full yet" in said) is not bends


def test_the_arithmetic_of_a_solution_is_that_of_its_figures() -> None:
    found = lab_3(1)
    found[0]["rate"] = 28.64
    assert "4 times 28.6 is 114.4." in pool.LAB.checks[0].solution(found)
    assert "With one connection 28.6 answers" in pool.explain(found)
    found = lab_8(1)
    found["outcomes"][ASYNC] |= {"seconds": 4.07, "may": 101.4, "passed": 99}
    assert "20 + 20 x 4.1 s is 102." in noisy.LAB.checks[0].solution(found)
    assert "101" not in noisy.explain(found), "it is asked for"


@pytest.mark.parametrize("number", FOUND)
def test_what_a_lab_shows_has_room_in_a_terminal(number: int) -> None:
    console = Console(file=StringIO(), width=80, record=True)
    LABS[number].show(console, FOUND[number](1))
    said = console.export_text()
    assert "…" not in said
    assert number not in (4, 7, 8, 10) or all(twin in said for twin in (NAIVE, ASYNC))


@pytest.mark.parametrize("twin", [NAIVE, ASYNC])
def test_each_bid_of_lab_8_is_in_one_line_of_its_table(twin: str) -> None:
    console = Console(file=StringIO(), width=80, record=True)
    noisy.show(console, lab_8(1))
    lines = [line for line in console.export_text().splitlines() if line.startswith(("│ tickets", "│ bids"))]
    column = [NAIVE, ASYNC].index(twin) - 3
    assert sum(int(line.split("│")[column]) for line in lines) == noisy.BUYERS * noisy.BIDS


def test_lab_5_counts_from_when_the_server_really_stopped() -> None:
    found = lab_5(1)
    begin, end = found["closed"]["stopped"]
    found["closed"]["at"] = [begin - 0.01, begin + 0.01, end - 0.01, end + 0.01]
    assert lies.sent_in_the_freeze(found) == 2
    found["closed"]["stopped"] = [begin + 0.02, end + 0.02]
    assert lies.sent_in_the_freeze(found) == 2
    found["closed"]["stopped"] = [begin + 0.02, end]
    assert lies.sent_in_the_freeze(found) == 1


def test_what_lab_5_explains_fits_its_figures() -> None:
    found = lab_5(1)
    for fast, told, untold in ((94, "of only 99", "was not asked"), (995, "was not asked", "of only")):
        found["closed"]["took"] = [2.0] * fast + [2_000.0] * lies.USERS
        assert told in lies.explain(found)
        assert untold not in lies.explain(found)
    for slow, told in ((1_990.0, "above it"), (9_000.0, "near it")):
        found["open"]["took"] = [2.0] * (len(found["open"]["at"]) - 30) + [slow] * 30
        assert told in lies.explain(found)
