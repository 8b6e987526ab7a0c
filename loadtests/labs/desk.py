"""Goes through a lab with a learner: asks, measures, shows, checks, and keeps how far they are."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress

from rich.console import Console

from loadtests.labs.lab import Bench, Lab, Measured, Question, Task
from loadtests.labs.progress import Progress, State
from loadtests.stack.place import typed

NO_MORE_HINTS = "There are no more hints; s shows the solution."
UNIT = re.compile(r"(?<=[\d.])\s*(?:%|[a-z/ ]+)$")
"""Behind a number."""
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

    def go_through(self, lab: Lab) -> bool:
        """Whether it is passed, and the learner wants the next. Raises StackError, TrialFailed."""
        state = self._progress.of(lab.number)
        self._console.rule(f"Lab {lab.number}: {lab.title}")
        self._console.print(f"{lab.idea}\n\nThe page: {lab.page}. Leave at any time with {LEAVE}.\n")
        if lab.is_timed:
            self._console.print("It wants a quiet machine: of those who share it one at a time measures.\n")
        try:
            if state.get("measured") is not None and not state.get("passed"):
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
            return self._wants("Go on with the next lab?")
        return False

    def _predict(self, lab: Lab, state: State) -> None:
        if "predicted" not in state:
            state["predicted"] = self._number(f"Predict first. {_asked(lab.predict)}")
            self._progress.keep(lab.number, state)

    def _experiment(self, lab: Lab, state: State) -> None:
        if "measured" not in state:
            state["knob"] = lab.knob.default
            state["measured"] = self._measured(lab, lab.knob.default)
            self._progress.keep(lab.number, state)
        measured = state["measured"]
        lab.show(self._console, measured)
        truth, said = lab.predict.truth(measured), state["predicted"]
        verdict = "close enough" if lab.predict.is_right(said, measured) else "not what came out"
        self._console.print(f"You predicted {said:g}{_unit(lab.predict)}, it was {truth:,.4g}: {verdict}.\n")
        self._console.print(f"{lab.explain(measured)}\n")

    def _turn_the_knob(self, lab: Lab, state: State) -> None:
        """As often as the learner likes."""
        knob = lab.knob
        unit = f" {knob.unit}" if knob.unit else ""
        prompt = (
            f"The knob: {knob.about}, {knob.least:g} to {knob.most:g}{unit} (now {{now:g}}; enter: go on) "
        )
        while (value := self._value(prompt.format(now=state["knob"]), knob.least, knob.most)) is not None:
            state["knob"], state["measured"] = value, self._measured(lab, value)
            state["answered"] = 0
            self._progress.keep(lab.number, state)
            lab.show(self._console, state["measured"])

    def _check(self, lab: Lab, state: State) -> None:
        measured, hints = state["measured"], iter(lab.hints)
        for number, question in enumerate(lab.checks):
            if number < state.get("answered", 0):
                continue
            with ExitStack() as shown:
                self._show(question, measured, shown)
                while not self._is_answered(lab, question, measured, hints, shown):
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
            if line == HINT:
                self._console.print(next(hints, NO_MORE_HINTS))
            elif line == SOLUTION:
                self._console.print(f"See {task.solutions}/: copy one over yours, and read what it does.")
            else:
                with self._turn(lab):
                    verdict = task.verify(self._bench)
                self._console.print("[green]Done.[/]" if verdict.is_done else "[yellow]Not yet.[/]", end=" ")
                self._console.print(verdict.why, markup=False)  # it may quote a log
                is_done = verdict.is_done
                state["done"] = is_done or state.get("done", False)
                self._progress.keep(lab.number, state)

    def _is_answered(
        self, lab: Lab, question: Question, measured: Measured, hints: Iterator[str], shown: ExitStack
    ) -> bool:
        again = ", enter: once more" if question.show else ""
        line = self._line(f"{_asked(question)} ({HINT}: a hint, {SOLUTION}: the solution{again}) ")
        if question.show and not line:
            self._show(question, measured, shown)
            return False
        if line == HINT:
            self._console.print(next(hints, NO_MORE_HINTS))
            return False
        if line == SOLUTION:
            if not self._tell_own_solution(question, measured):
                self._console.print(lab.solution(measured))
            return False
        answer = _parsed(line)
        if answer is None:
            self._no_number(line)
            return False
        if question.is_right(answer, measured):
            self._console.print("[green]Right.[/]")
            self._tell_own_solution(question, measured)
            return True
        hint = (
            question.hint(answer, measured) or "That does not fit the figures above. Look at them once more."
        )
        self._console.print(f"[yellow]No.[/] {hint}")
        return False

    def _tell_own_solution(self, question: Question, measured: Measured) -> bool:
        """Whether it has one. Without line breaks of ours: a query in it can be copied."""
        if question.solution:
            self._console.print(question.solution(measured), soft_wrap=True)
        return question.solution is not None

    def _wants(self, question: str) -> bool:
        return self._line(f"{question} (y/n) ").lower().startswith("y")

    def _number(self, prompt: str) -> float:
        while (value := _parsed(line := self._line(f"{prompt} "))) is None:
            self._no_number(line)
        return value

    def _no_number(self, line: str) -> None:
        self._console.print(f"{line!r} is no number.", markup=False)

    def _value(self, prompt: str, least: float, most: float) -> float | None:
        """None where the learner leaves it."""
        while line := self._line(prompt):
            value = _parsed(line)
            if value is not None and least <= value <= most:
                return value
            self._console.print(f"From {least:g} to {most:g}, please.")
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


def _unit(question: Question) -> str:
    return f" {question.unit}" if question.unit else ""


def _parsed(line: str) -> float | None:
    try:
        value = float(UNIT.sub("", line.replace(",", "").strip()))
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None
