"""`python -m loadtests.labs --n 1`: go through a lab; without one, list them with what is done."""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from loadtests.labs import (
    broken,
    dashboard,
    freshness,
    hot_path,
    lies,
    noisy,
    one_request,
    own,
    pool,
    race,
)
from loadtests.labs.desk import Desk
from loadtests.labs.logs import end_of
from loadtests.labs.progress import WORKSHOP, Progress
from loadtests.labs.quiet import quiet
from loadtests.stack import Stack, StackError
from loadtests.stack.observers import LIVE
from loadtests.stack.place import (
    LAB_USER,
    Place,
    folder_of_learner,
    learner,
    place_of_learner,
    run_folder,
    typed,
)
from loadtests.stack.process import interrupted_by_signals
from loadtests.stack.servers import is_heard
from loadtests.trial.generator import TrialFailed
from loadtests.trial.options import MakeParser
from shared.settings import load

LABS = {
    each.LAB.number: each.LAB
    for each in (one_request, race, pool, hot_path, lies, freshness, broken, noisy, dashboard, own)
}
SERVER = "own"
"""The learner at whose place lab 10's twin is served, where nobody else is named."""
FAILED, INTERRUPTED = 1, 130


class RealBench:
    """A lab's experiments on a stack at the learner's place; `run_dir` is of all who share the machine."""

    def __init__(self, console: Console, run_dir: Path, place: Place) -> None:
        self.folder = place.run_dir / WORKSHOP
        self.live_port = load(**place.ports).live_port
        self._run_dir = run_dir
        self._place = place
        self._console = console
        self._is_told = False

    @contextmanager
    def servers(self, **settings: Any) -> Iterator[Stack]:
        """Empty ones. Raises StackError."""
        with Stack(self._place.run_dir, load(**self._place.ports, **settings)) as stack:
            self.step("starting MySQL and Redis")
            stack.start("mysql", "redis")
            yield stack

    @contextmanager
    def stack(self, **settings: Any) -> Iterator[Stack]:
        """As `servers`, with the live page, which is told of once. Raises StackError."""
        with self.servers(**settings) as stack:
            stack.start_live_page()
            if not self._is_told:
                self.step(f"live picture, while it measures: {stack.base_url(LIVE)}")
                self._is_told = True
            yield stack

    def quiet(self) -> AbstractContextManager[None]:
        return quiet(self._run_dir, self.step)

    def step(self, text: str) -> None:
        self._console.print(f"  {text}", soft_wrap=True)


def main(arguments: list[str] | None = None) -> int:
    parser: argparse.ArgumentParser = MakeParser(prog="lab")
    parser.add_argument("--n", type=int, choices=LABS, help="which one; without it they are listed")
    parser.add_argument("--reset", action="store_true", help="forget what was done, of one or of all")
    parser.add_argument("--serve", action="store_true", help="run lab 10's twin until Ctrl-C")
    parser.add_argument(
        "--run-dir", type=Path, default=run_folder(), help="folder for data, logs and progress"
    )
    options = parser.parse_args(arguments)
    console = Console(highlight=False)
    try:
        if options.reset:
            forget(console, options.run_dir, options.n)
        elif options.serve:
            return serve(console, options.run_dir)
        elif options.n is None:
            show_labs(console, Progress(folder_of_learner(options.run_dir) / WORKSHOP))
        else:
            return attend(console, options.run_dir, options.n)
    except (StackError, TrialFailed, OSError) as error:  # such as a folder that nobody can write to
        print(f"lab: {error}", file=sys.stderr)
        return FAILED
    return 0


def attend(console: Console, run_dir: Path, number: int) -> int:
    """That lab and those after it, for as long as the learner likes."""
    numbers = [each for each in sorted(LABS) if each >= number]
    at = number
    try:
        with interrupted_by_signals(), place_of_learner(run_dir) as place:
            if name := learner():
                console.print(f"{name}: {whereabouts(place)}", soft_wrap=True)
            for at in numbers:
                bench = RealBench(console, run_dir, place)
                desk = Desk(console, Progress(bench.folder), bench, input)
                if not desk.go_through(LABS[at], is_last=at == numbers[-1]):
                    break
    except KeyboardInterrupt:
        command = typed(f"make lab N={at}")
        print(f"\nlab: left; `{command}` goes on where you were", file=sys.stderr)
        return INTERRUPTED
    return 0


def serve(console: Console, run_dir: Path) -> int:
    """The twin of lab 10, with servers at a learner's place: those at the usual one are the bench's.

    Raises StackError.
    """
    program = own.mine(RealBench(console, run_dir, Place(folder_of_learner(run_dir), {})))
    os.environ.setdefault(LAB_USER, SERVER)
    with suppress(KeyboardInterrupt), interrupted_by_signals(), place_of_learner(run_dir) as place:
        bench = RealBench(console, run_dir, place)
        with bench.servers() as stack, own.running(stack, program) as (url, log):
            if url is None:
                raise StackError(f"{program} does not answer:\n{end_of(log)}")
            bench.step(f"{program} is {url}")
            bench.step(f"in another terminal: make bench HOST={url}; Ctrl-C ends it here")
            while is_heard(int(url.rpartition(":")[2])):
                time.sleep(0.5)
            raise StackError(f"it has ended; its log is {log}")
    return INTERRUPTED


def whereabouts(place: Place) -> str:
    s = load(**place.ports)
    return (
        f"all of yours is in {place.run_dir}; naive_sync on port {s.naive_port}, async_dedup on "
        f"{s.async_port}, MySQL on {s.mysql_port}, Redis on {s.redis_port}"
    )


def forget(console: Console, run_dir: Path, number: int | None) -> None:
    with place_of_learner(run_dir) as place:
        folder = place.run_dir / WORKSHOP
        Progress(folder).reset(number)
        edited = sorted(folder.glob(f"lab-{number or '*'}/*.py"))
    console.print("Forgotten.")
    for path in edited:
        console.print(f"Your copy is kept: {path}", soft_wrap=True)


def show_labs(console: Console, progress: Progress) -> None:
    table = Table("", "lab", "takes", "wants", "done")
    for lab in LABS.values():
        state = progress.of(lab.number)
        done = "yes" if state.get("passed") else "begun" if state else ""
        wants = "a quiet machine" if lab.is_timed else ""
        table.add_row(str(lab.number), lab.title, f"{lab.minutes} min", wants, done)
    console.print(table)
    console.print(f"`{typed('make lab N=1')}` begins. What is behind them: workshop/README.md.")


if __name__ == "__main__":
    sys.exit(main())
