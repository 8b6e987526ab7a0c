"""A study: parts that are measured each by itself and kept in one raw file, of which a page in docs/ is made.

A part that is measured again takes its former place, the others stay: a study can be made in pieces.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from redis import RedisError
from rich.console import Console
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from typing_extensions import TypedDict

from loadtests.analysis.results import RESULTS, Environment
from loadtests.bootstrap import ROOT
from loadtests.live.terminal import Display
from loadtests.load.files import write_json
from loadtests.report.markdown import table
from loadtests.report.numbers import number
from loadtests.report.trials import machine_in_short
from loadtests.stack import Stack, StackError
from loadtests.stack.process import interrupted_by_signals, on_cpus
from loadtests.trial import environment
from loadtests.trial.generator import TrialFailed
from loadtests.trial.options import MakeParser
from shared.db import create_tables, make_background_engine
from shared.settings import load

RUN_DIR = ROOT / ".run"
FAILED, INTERRUPTED = 1, 130


class Setup:
    """What a part is measured with."""

    def __init__(self, options: argparse.Namespace, display: Display) -> None:
        self.options = options
        self.display = display
        self.environment: Environment | None = None

    @contextmanager
    def stack(self, *, pin: bool = True, **settings: Any) -> Iterator[Stack]:
        """A stack with MySQL and Redis; with `pin` this process is on the generator's core.

        Raises StackError.
        """
        self.display.step("starting MySQL and Redis")
        with (
            Stack(self.options.run_dir, load(**settings), pin) as stack,
            on_cpus(stack.generator_cpus()),
        ):
            stack.start("mysql")
            stack.start("redis")
            stack.start_observers()
            self.environment = environment.describe(stack)
            yield stack


def emptied(stack: Stack) -> Engine:
    """Leave the tables, and nothing in them or in Redis; return MySQL as worker and scheduler have it."""
    engine = make_background_engine(stack.settings)
    create_tables(engine)
    stack.reset()
    return engine


class Part(NamedTuple):
    seconds: float
    """How long it takes, about."""
    measure: Callable[[Setup], Any]
    """Returns JSON values."""


class Measured(TypedDict):
    """A part in the raw file."""

    started_at: str
    seconds: float
    commit: str
    seed: int
    environment: Environment
    values: Any


Raw = Mapping[str, Measured]
"""The raw file: what was measured, by part."""


class Study(NamedTuple):
    name: str
    parts: Mapping[str, Part]
    render: Callable[[Raw], str]
    """Returns the page."""

    @property
    def raw(self) -> Path:
        return RESULTS / self.name / f"{self.name}.json"

    @property
    def page(self) -> Path:
        return ROOT / "docs" / f"{self.name}.md"


def parser(study: Study) -> argparse.ArgumentParser:
    """Return the options that every study has."""
    made = MakeParser(prog=study.name)
    minutes = {name: f"{part.seconds / 60:.1f}" for name, part in study.parts.items()}
    takes = ", ".join(f"{name} {each}" for name, each in minutes.items())
    every = ",".join(study.parts)
    made.add_argument("--parts", default=every, help=f"with commas; minutes: {takes}; page: only write it")
    made.add_argument("--seed", type=int, default=1, help="of the events and of the order")
    made.add_argument("--raw", type=Path, default=study.raw, help="the file to keep the figures in")
    made.add_argument(
        "--run-dir", type=Path, default=RUN_DIR, help="folder for data and logs of the processes"
    )
    return made


def run(study: Study, options: argparse.Namespace) -> int:
    """Measure the parts that the options name. Exit status: 0; 1: a part failed; 130: Ctrl-C.

    Each part is written when it is whole; one that is broken off changes nothing.
    """
    names = [] if options.parts == "page" else options.parts.split(",")
    if unknown := set(names) - set(study.parts):
        sys.exit(f"{study.name}: no such part: {', '.join(sorted(unknown))}")
    console = Console(highlight=False)
    load()
    try:
        with (
            interrupted_by_signals(),
            Display(console, sum(study.parts[name].seconds for name in names)) as display,
        ):
            for name in names:
                _keep(options.raw, name, _measured(study.parts[name], Setup(options, display)))
    except (StackError, TrialFailed, RedisError, SQLAlchemyError) as error:
        print(f"{study.name}: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"{study.name}: interrupted; the parts that were whole are kept", file=sys.stderr)
        return INTERRUPTED
    finally:
        _write_page(study, options.raw, console)
    return 0


def _measured(part: Part, setup: Setup) -> Measured:
    started, clock = datetime.now(UTC), time.monotonic()
    values = part.measure(setup)
    assert setup.environment
    return {
        "started_at": started.isoformat(timespec="seconds"),
        "seconds": time.monotonic() - clock,
        "commit": environment.commit(),
        "seed": setup.options.seed,
        "environment": setup.environment,
        "values": values,
    }


def read(path: Path) -> dict[str, Measured]:
    """Return what is there; nothing where there is no file."""
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _keep(path: Path, name: str, measured: Measured) -> None:
    write_json(path, read(path) | {name: measured})


def _write_page(study: Study, raw: Path, console: Console) -> None:
    """Write the page where it belongs, or beside a raw file that is somewhere else."""
    if not raw.exists():
        return
    page = study.page if raw == study.raw else raw.with_suffix(".md")
    page.write_text(study.render(read(raw)))
    console.print(f"Written: {os.path.relpath(raw)} and {os.path.relpath(page)}", soft_wrap=True)


def measured_on(study: str, raw: Raw) -> str:
    """Return the last sections of a page: when each part was measured, and on what."""
    newest = max(raw.values(), key=lambda each: each["started_at"])
    return f"""## Measured when

{when(raw)}
Made by `make {study}` from `loadtests/results/{study}/{study}.json`; do not edit.
`make {study} PARTS=...` measures only the parts that are named again.

{machine_in_short(newest["environment"])}
"""


def when(raw: Raw) -> str:
    """Return a table of when each part was measured."""
    rows = [
        [name, each["started_at"], number(each["seconds"], 0), f"`{each['commit']}`", each["seed"]]
        for name, each in raw.items()
    ]
    return f"{table(['part', 'started', 'seconds', 'commit', 'seed'], rows)}\n"
