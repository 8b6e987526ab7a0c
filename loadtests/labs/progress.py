"""What a learner has done, kept between two sittings."""

import json
from pathlib import Path

from typing_extensions import TypedDict

from loadtests.labs.lab import Measured
from loadtests.load.files import write_json

WORKSHOP = "workshop"
"""The folder within a run folder for progress, and for what a learner edits."""


class State(TypedDict, total=False):
    """Of one lab. Whatever is missing has not been done yet."""

    predicted: float
    knob: float
    measured: Measured
    answered: int
    """How many of its checks."""
    done: bool
    """Its task, where it has one."""
    passed: bool


class Progress:
    """A file in the learner's folder; what can't be read of it counts as none."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "progress.json"

    def of(self, lab: int) -> State:
        return self._read().get(str(lab), State())

    def keep(self, lab: int, state: State) -> None:
        write_json(self._path, self._read() | {str(lab): state})

    def reset(self, lab: int | None = None) -> None:
        """Forget a lab, or all."""
        kept = {} if lab is None else {name: each for name, each in self._read().items() if name != str(lab)}
        write_json(self._path, kept)

    def _read(self) -> dict[str, State]:
        try:
            found: dict[str, State] = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        if not isinstance(found, dict):
            return {}
        return {lab: state for lab, state in found.items() if isinstance(state, dict)}
