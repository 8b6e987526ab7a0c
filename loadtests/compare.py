"""`python -m loadtests.compare A B`: two runs side by side, and whether B is worse than A.

Exit status: 0; 1 where B is worse by more than the threshold and more than noise, or its async twin lost or
doubled more events; 2 where the two can't be compared.
"""

import json
import sys
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from loadtests.analysis.changes import Change, changes, count_tests, drift, wrong_counts
from loadtests.analysis.results import FILE, RESULTS, Results
from loadtests.analysis.schema import check
from loadtests.analysis.summary import measured, profiles
from loadtests.load.subjects import SUBJECTS
from loadtests.report.numbers import short
from loadtests.report.terminal import ALARM
from loadtests.report.verdict import alarm
from loadtests.trial.options import MakeParser

WORSE, IMPOSSIBLE = 1, 2
PLAIN_WIDTH = 130
"""Columns of the table where the output is no terminal."""


def main(arguments: list[str] | None = None) -> int:
    parser = MakeParser(prog="compare", description="Compare two runs.")
    parser.add_argument("before", help="name of a run under loadtests/results, or path of its results")
    parser.add_argument("after", help="the same of the run that may be worse")
    parser.add_argument("--threshold", type=float, default=10.0, help="percent by which it may be worse (10)")
    options = parser.parse_args(arguments)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    try:
        before, after = read(options.before), read(options.after)
        refuse(before, after)
    except ValueError as error:
        print(f"compare: {error}", file=sys.stderr)
        return IMPOSSIBLE
    return show(console, before, after, options.threshold)


def read(name: str) -> Results:
    """Return the run of that name, or at that path. Raises ValueError."""
    given = Path(name)
    path = (
        given
        if given.is_file()
        else next((p for p in (given / FILE, RESULTS / name / FILE) if p.is_file()), None)
    )
    if path is None:
        known = ", ".join(sorted(each.parent.name for each in RESULTS.glob(f"*/{FILE}"))) or "none yet"
        raise ValueError(f"no run {name}; the runs are: {known}")
    try:
        found: Results = json.loads(path.read_text())
        check(found)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return found


def refuse(before: Results, after: Results) -> None:
    """Raise ValueError where a difference would say nothing about the twins."""
    machines = [
        f"{run['environment']['cpu']}, {run['environment']['cores']} cores" for run in (before, after)
    ]
    if machines[0] != machines[1]:
        raise ValueError(f"different machines: {machines[0]}; {machines[1]}")
    if not set(profiles(before)) & set(profiles(after)):
        ran = [" and ".join(profiles(run)) or "nothing" for run in (before, after)]
        raise ValueError(f"no profile in common: {ran[0]}; {ran[1]}")


def show(console: Console, before: Results, after: Results, threshold: float) -> int:
    """Print the table and what is worse; return the exit status."""
    for run in (before, after):
        if wrong := alarm(run):
            console.print(f"{run['run']}: {wrong}", style=ALARM, soft_wrap=True)
    found = changes(before, after)
    tests = count_tests(found)
    table = Table(
        title=f"{before['run']}, then {after['run']}", caption="medians; in brackets how many trials"
    )
    for name in ("level", "twin", "figure", "before", "after", "change", ""):
        right = name in ("before", "after", "change")
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    for each in found:
        table.add_row(*_row(each, tests))
    console.print(table)
    worse = [_sentence(each) for each in found if each.is_noise(tests) is False and each.is_worse(threshold)]
    worse += _audit(before, after)
    if any(each.is_noise(tests) is None for each in found):
        console.print("Too few trials to tell a change from noise, where the table says so.")
    if (drifted := drift(before, after)) is not None:
        console.print(
            f"The floor's p95 changed by {drifted:+.1f} %: so much is harness and machine, not a twin."
        )
    for line in worse or [f"Nothing is worse by more than {threshold:g} % and more than noise."]:
        console.print(line, soft_wrap=True)
    return WORSE if worse else 0


def _row(change: Change, tests: int) -> list[str]:
    values = [f"{short(median(each))} ({len(each)})" for each in (change.before, change.after)]
    noise = change.is_noise(tests)
    words = "too few trials" if noise is None else "noise" if noise else "a change"
    return [_where(change), change.subject, change.figure, *values, f"{change.percent:+.1f} %", words]


def _sentence(change: Change) -> str:
    before, after = short(median(change.before)), short(median(change.after))
    figure = f"{change.figure} from {before} to {after} ({change.percent:+.1f} %)"
    return f"Worse: {_where(change)}, {change.subject}: {figure}."


def _where(change: Change) -> str:
    return f"{change.profile} {change.level}".rstrip()


def _audit(before: Results, after: Results) -> list[str]:
    lines = []
    for profile in (each for each in profiles(before) if each in profiles(after)):
        for twin in (each for each in measured(after) if SUBJECTS[each].promises_counts):
            was, now = (wrong_counts(run, profile, twin) for run in (before, after))
            if now > was:
                lines.append(f"Worse: {profile}, {twin}: {now:,} events lost or doubled, {was:,} before.")
    return lines


if __name__ == "__main__":
    sys.exit(main())
