"""What a teacher shows and hands out: slides of the labs' last results, and a sheet to print."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from loadtests.bootstrap import ROOT
from loadtests.trial.options import MakeParser

FOLDER = ROOT / ".run" / "workshop"
"""Of the teacher's own progress."""


def folder(program: str, arguments: Sequence[str] | None) -> Path:
    """Return where progress is read, and where what is made goes."""
    parser: argparse.ArgumentParser = MakeParser(prog=program)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of progress.json, and of what is made")
    chosen: Path = parser.parse_args(arguments).folder
    return chosen.resolve()
