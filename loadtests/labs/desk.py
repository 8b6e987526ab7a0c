"""Goes through a lab with a learner: asks, measures, shows, checks, and keeps how far they are."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from io import StringIO
from math import isfinite

from rich.console import Console
from rich.text import Text

from loadtests.labs.lab import Bench, Knob, Lab, Measured, Question, Task
from loadtests.labs.progress import Progress, State
from loadtests.stack.place import typed

NO_MORE_HINTS = "There are no more hints; s shows the solution."
NUMBER = re.compile(r"(.*?[\d.])\s*([^\W\d_]\D*|%)?")
"""A number, and what stands behind it."""
THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?")
DECIMAL_COMMA = re.compile(r"\d,|,\d")
SHORT = {"milliseconds": "ms", "seconds": "s", "per cent": "%", "times": "x"}
"""Units that are usually written in short."""
LEAVE, HINT, SOLUTION = "q", "h", "s"


class Left(Exception):
    """The learner goes; what was done is kept."""


class Desk:
    """`ask` gives the learner's next line; EOFError means that they have gone."""

    def __init__(self, console: Console, progress: Progress, bench: Bench, ask: Callable[[str], str]) -> None:
        self._console = console
        self._progress = progress
        self._bench = bench
        self._ask = ask

    def go_through(self, lab: Lab, is_last: bool = False) -> bool:
        """Whether it is passed, and the learner wants the next. Raises StackError, TrialFailed."""
        state = self._progress.of(lab.number)
        self._console.rule(f"Lab {lab.number}: {lab.title}")
        self._console.print(f"{lab.idea}\n\nThe page: {lab.page}. Leave at any time with {LEAVE}.\n")
        if lab.is_timed:
            self._console.print("It wants a quiet machine: of those who share it one at a time measures.\n")
        self._drop_what_is_of_an_earlier_version(lab, state)
        try:
            if "measured" in state and not state.get("passed"):
                self._console.print("You were here before; we go on where you left.\n")
            self._predict(lab, state)
            self._experiment(lab, state)
            self._turn_the_knob(lab, state)
            self._check(lab, state)
            if lab.task:
                self._do(lab, lab.task, state)
            state["passed"] = True
            self._progress.keep(lab.number, state)
        except Left:
            self._console.print(f"Kept. `{typed(f'make lab N={lab.number}')}` goes on here.")
            return False
        self._console.print(f"\n[bold]Lab {lab.number} is passed.[/] {lab.passed}\n")
        with suppress(Left):
            return not is_last and self._wants("Go on with the next lab?")
        return False

    def _drop_what_is_of_an_earlier_version(self, lab: Lab, state: State) -> None:
        if not _is_number(state.get("predicted")):
            state.pop("predicted", None)
        if "measured" in state and not _fits(lab, state):
            state.pop("measured")
            state.pop("answered", None)
            self._console.print("What is kept of it is of an earlier version: it is measured anew.\n")

    def _predict(self, lab: Lab, state: State) -> None:
        if "predicted" not in state:
            state["predicted"] = self._number(f"Predict first. {_asked(lab.predict)}", lab.predict.unit)
            self._progress.keep(lab.number, state)

    def _experiment(self, lab: Lab, state: State) -> None:
        if "measured" not in state:
            state["knob"] = lab.knob.default
            state["measured"] = self._measured(lab, lab.knob.default)
            self._progress.keep(lab.number, state)
        measured = state["measured"]
        lab.show(self._console, measured)
        if state["knob"] != lab.knob.default:  # neither what was predicted nor what is explained
            self._console.print(f"That is with the knob at {state['knob']:g}{_behind(lab.knob.unit)}.\n")
            return
        truth, said = lab.predict.truth(measured), state["predicted"]
        verdict = "close enough" if lab.predict.is_right(said, measured) else "not what came out"
        unit = _behind(lab.predict.unit)
        self._console.print(f"You predicted {said:g}{unit}, it was {truth:,.4g}: {verdict}.\n")
        self._console.print(f"{lab.explain(measured)}\n")

    def _turn_the_knob(self, lab: Lab, state: State) -> None:
        """As often as the learner likes."""
        knob = lab.knob
        prompt = (
            f"The knob: {knob.about}, {knob.least:g} to {knob.most:g}{_behind(knob.unit)} "
            "(now {now:g}; enter: go on) "
        )
        while (value := self._value(prompt.format(now=state["knob"]), knob)) is not None:
            state["knob"], state["measured"] = value, self._measured(lab, value)
            state["answered"] = 0
            self._progress.keep(lab.number, state)
            lab.show(self._console, state["measured"])

    def _check(self, lab: Lab, state: State) -> None:
        measured = state["measured"]
        for number, question in enumerate(lab.checks):
            if number < state.get("answered", 0):
                continue
            hints = iter(question.hints)
            with ExitStack() as shown:
                self._show(question, measured, shown)
                while not self._is_answered(question, measured, hints, shown):
                    pass
            state["answered"] = number + 1
            self._progress.keep(lab.number, state)

    def _show(self, question: Question, measured: Measured, shown: ExitStack) -> None:
        """In the place of what was shown before."""
        shown.close()
        if question.show:
            shown.enter_context(question.show(self._bench, self._console, measured))

    def _measured(self, lab: Lab, value: float) -> Measured:
        with self._turn(lab):
            return lab.measure(self._bench, value)

    def _turn(self, lab: Lab) -> AbstractContextManager[None]:
        return self._bench.quiet() if lab.is_timed else nullcontext()

    def _do(self, lab: Lab, task: Task, state: State) -> None:
        path, hints = task.file(self._bench), iter(task.hints)
        self._console.print(f"\n{task.about}\nYour copy: {path}")
        is_done = state.get("done", False) and not self._wants("It is done. Try another version?")
        while not is_done:
            line = self._line(f"Enter tries it ({HINT}: a hint, {SOLUTION}: where solutions are) ")
            if line.lower() == HINT:
                self._console.print(next(hints, NO_MORE_HINTS))
            elif line.lower() == SOLUTION:
                self._console.print(f"See {task.solutions}/: copy one over yours, and read what it does.")
            elif line:
                self._console.print(f"Enter alone tries your copy; or type {HINT}, {SOLUTION} or {LEAVE}.")
            else:
                with self._turn(lab):
                    verdict = task.verify(self._bench)
                told = ("Done.", "green") if verdict.is_done else ("Not yet.", "yellow")
                self._console.print(Text.assemble(told, f" {verdict.why}"))
                is_done = verdict.is_done
                state["done"] = is_done or state.get("done", False)
                self._progress.keep(lab.number, state)

    def _is_answered(
        self, question: Question, measured: Measured, hints: Iterator[str], shown: ExitStack
    ) -> bool:
        again = ", enter: once more" if question.show else ""
        line = self._line(f"{_asked(question)} ({HINT}: a hint, {SOLUTION}: the solution{again}) ")
        if question.show and not line:
            self._show(question, measured, shown)
            return False
        if line.lower() == HINT:
            self._console.print(next(hints, NO_MORE_HINTS))
            return False
        if line.lower() == SOLUTION:
            self._tell_solution(question, measured)
            return False
        answer = self._read(line, question.unit, question.choices)
        if answer is None:
            return False
        if question.is_right(answer, measured):
            self._console.print("[green]Right.[/]")
            self._tell_solution(question, measured)
            return True
        hint = (
            question.hint(answer, measured) or "That does not fit the figures above. Look at them once more."
        )
        self._console.print(f"[yellow]No.[/] {hint}")
        return False

    def _tell_solution(self, question: Question, measured: Measured) -> None:
        """Without line breaks of ours: a query in it can be copied."""
        self._console.print(question.solution(measured), soft_wrap=True)

    def _wants(self, question: str) -> bool:
        return self._line(f"{question} (y/n) ").lower().startswith("y")

    def _number(self, prompt: str, unit: str) -> float:
        while (value := self._read(self._line(f"{prompt} "), unit)) is None:
            pass
        return value

    def _read(self, line: str, unit: str, choices: int = 0) -> float | None:
        """None where it is no number, or none of the choices, which the learner is told."""
        if line.lower() in (HINT, SOLUTION):
            self._console.print("Hints and solutions come with the questions, at the end.")
            return None
        try:
            value = parsed(line, unit)
        except ValueError as error:
            self._console.print(str(error), markup=False)
            return None
        if choices and value not in range(1, choices + 1):
            self._console.print(f"From 1 to {choices}, please.")
            return None
        return value

    def _value(self, prompt: str, knob: Knob) -> float | None:
        """None where the learner leaves it."""
        while line := self._line(prompt):
            value = self._read(line, knob.unit)
            if value is None:
                continue
            if not knob.least <= value <= knob.most:
                self._console.print(f"From {knob.least:g} to {knob.most:g}, please.")
            elif knob.is_whole and value % 1:
                self._console.print("A whole number, please.")
            else:
                return value
        return None

    def _line(self, prompt: str) -> str:
        """Raises Left."""
        try:
            line = self._ask(prompt).strip()
        except EOFError:
            raise Left from None
        if line.lower() == LEAVE:
            raise Left
        return line


def _asked(question: Question) -> str:
    return f"{question.ask}{f' In {question.unit}.' if question.unit else ''}"


def _behind(unit: str) -> str:
    return f" {unit}" if unit else ""


def _fits(lab: Lab, state: State) -> bool:
    """Whether this version can show what is kept, and ask about it."""
    measured = state["measured"]
    try:
        lab.show(Console(file=StringIO()), measured)
        told = [lab.explain(measured), *(question.solution(measured) for question in lab.checks)]
        truths = [question.truth(measured) for question in (lab.predict, *lab.checks)]
    except Exception:  # noqa: BLE001 - whatever comes of values that another version has left
        return False
    numbers = [state.get("knob"), state.get("answered", 0), *truths]
    return all(isinstance(each, str) for each in told) and all(map(_is_number, numbers))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and isfinite(value)


def parsed(line: str, unit: str) -> float:
    """Return the number that a learner has typed, with its unit or without.

    Raises ValueError where it is none, or in another unit: the message is for the learner.
    """
    found = NUMBER.fullmatch(line)
    number, given = found.groups() if found else (line, None)
    if THOUSANDS.fullmatch(number):
        number = number.replace(",", "")
    elif DECIMAL_COMMA.search(number):
        raise ValueError(f"{line!r} is no number. Decimals have a point.")
    try:
        value = float(number)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise ValueError(f"{line!r} is no number.")
    if given and not _is_of(given.strip().lower(), unit):
        raise ValueError(f"In {_in_full(unit)}, please." if unit else "A number alone, please.")
    return value


def _is_of(given: str, unit: str) -> bool:
    word = _in_full(unit)
    return given in {word, word.removesuffix("s"), SHORT.get(word)}


def _in_full(unit: str) -> str:
    return next((word for word, short in SHORT.items() if short == unit), unit)
