"""Reads what Locust writes each second while it runs."""

import json
import os
from pathlib import Path
from typing import IO, Any

SILENCE = 2.5
"""Seconds without a line, after which nothing runs any more; more than a scrape interval."""


class Tail:
    """The lines of a file that is written now, deleted and written again; not even the last is missed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None
        self._part = ""

    def lines(self) -> list[dict[str, Any]]:
        """Return what is new, from one file at a time."""
        if self._file is None and self._path.exists():
            self._file, self._part = self._path.open(), ""
        if self._file is None:
            return []
        replaced = self._replaced()  # asked first: until then lines may come
        *whole, self._part = (self._part + self._file.read()).split("\n")
        if replaced:
            self._file.close()
            self._file = None
        return [json.loads(line) for line in whole]

    def _replaced(self) -> bool:
        assert self._file is not None
        try:
            return not os.path.samestat(self._path.stat(), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            return True
