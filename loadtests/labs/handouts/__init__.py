"""What a teacher shows and hands out: slides of the labs' last results, and a sheet to print."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from loadtests.labs.progress import WORKSHOP
from loadtests.stack.place import folder_of_learner, run_folder
from loadtests.trial.options import MakeParser


def folder(program: str, arguments: Sequence[str] | None) -> Path:
    """Return where progress is read, and where what is made goes. Raises StackError."""
    parser: argparse.ArgumentParser = MakeParser(prog=program)
    own = folder_of_learner(run_folder()) / WORKSHOP
    parser.add_argument("--folder", type=Path, default=own, help="of progress.json, and of what is made")
    chosen: Path = parser.parse_args(arguments).folder
    return chosen.resolve()
