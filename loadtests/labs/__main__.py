"""`python -m loadtests.labs --lab 1`: go through a lab; without one, list them with what is done."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from loadtests.bootstrap import ROOT
from loadtests.labs import broken, dashboard, freshness, hot_path, lies, one_request, own, pool, race
from loadtests.labs.desk import Desk
from loadtests.labs.progress import Progress
from loadtests.stack import Stack, StackError
from loadtests.stack.process import interrupted_by_signals
from loadtests.trial.generator import TrialFailed
from loadtests.trial.options import MakeParser
from shared.settings import load

LABS = {
    each.LAB.number: each.LAB
    for each in (one_request, race, pool, hot_path, lies, freshness, broken, dashboard, own)
}
RUN_DIR = ROOT / ".run"
FAILED, INTERRUPTED = 1, 130


class RealBench:
    """Experiments on the stack of a run folder."""

    def __init__(self, console: Console, run_dir: Path) -> None:
        self.folder = run_dir / "workshop"
        self.live_port = load().live_port
        self._run_dir = run_dir
        self._console = console

    @contextmanager
    def stack(self, **settings: Any) -> Iterator[Stack]:
        """Empty servers. Raises StackError."""
        with Stack(self._run_dir, load(**settings)) as stack:
            self.step("starting MySQL and Redis")
            stack.start("mysql", "redis")
            yield stack

    def step(self, text: str) -> None:
        self._console.print(f"  {text}", soft_wrap=True)


def main(arguments: list[str] | None = None) -> int:
    parser: argparse.ArgumentParser = MakeParser(prog="lab")
    parser.add_argument("--n", type=int, choices=LABS, help="which one; without it they are listed")
    parser.add_argument("--reset", action="store_true", help="forget what was done, of one or of all")
    parser.add_argument("--run-dir", type=Path, default=RUN_DIR, help="folder for data, logs and progress")
    options = parser.parse_args(arguments)
    console, folder = Console(highlight=False), options.run_dir / "workshop"
    folder.mkdir(parents=True, exist_ok=True)
    progress = Progress(folder)
    if options.reset:
        progress.reset(options.n)
        console.print("Forgotten.")
        return 0
    if options.n is None:
        show_labs(console, progress)
        return 0
    try:
        with interrupted_by_signals():
            go(Desk(console, progress, RealBench(console, options.run_dir), input), options.n)
    except (StackError, TrialFailed) as error:
        print(f"lab: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"\nlab: left; `make lab N={options.n}` goes on where you were", file=sys.stderr)
        return INTERRUPTED
    return 0


def go(desk: Desk, number: int) -> None:
    """That one and those after it, for as long as the learner likes."""
    for each in sorted(other for other in LABS if other >= number):
        if not desk.go_through(LABS[each]):
            return


def show_labs(console: Console, progress: Progress) -> None:
    table = Table("", "lab", "takes", "done")
    for lab in LABS.values():
        state = progress.of(lab.number)
        done = "yes" if state.get("passed") else "begun" if state else ""
        table.add_row(str(lab.number), lab.title, f"{lab.minutes} min", done)
    console.print(table)
    console.print("`make lab N=1` begins. What is behind them: workshop/README.md.")


if __name__ == "__main__":
    sys.exit(main())
