"""A wall clock that can be set, by libfaketime."""

from pathlib import Path

from loadtests.bootstrap import CLOCK


class Clock:
    """Of the processes that are started with its environment. Redis itself can't run on such a clock."""

    def __init__(self, file: Path) -> None:
        (library,) = Path("/usr/lib").glob(CLOCK)
        self._file = file
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.set(0)

    def set(self, seconds: int) -> None:
        """So far from the true time."""
        part = self._file.with_suffix(".part")
        part.write_text(f"{seconds:+d}")
        part.replace(self._file)
