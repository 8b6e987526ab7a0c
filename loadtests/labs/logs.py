"""What a learner's program has written before it failed."""

import re
from pathlib import Path

ERROR = re.compile(r"^[\w.]*(?:Error|Exception)\b.*", re.MULTILINE)
"""How a traceback ends."""
TRACEBACK = "Traceback (most recent call last):"
COLOR = re.compile(r"\x1b\[[\d;]*m")
MOST = 2_000
"""Characters that are quoted."""


def last_error(log: Path) -> str | None:
    """Return the line that names it; None where there is none."""
    found = ERROR.findall(_text(log))
    return found[-1] if found else None


def end_of(log: Path) -> str:
    """Return the last traceback, though others have written after it; without an error, the end."""
    text = _text(log)
    ends = [each.end() for each in ERROR.finditer(text)] or [len(text.rstrip())]
    start = max(text.rfind(TRACEBACK, 0, ends[-1]), ends[-1] - MOST, 0)
    return text[start : ends[-1]]


def _text(log: Path) -> str:
    return COLOR.sub("", log.read_text(errors="replace"))
