"""What a learner's program has written before it failed."""

import re
from pathlib import Path

ERROR = re.compile(r"^[\w.]*(?:Error|Exception)\b.*", re.MULTILINE)
"""How a traceback ends."""
MOST = 2_000
"""Characters that are quoted."""


def last_error(log: Path) -> str | None:
    """Return the line that names it; None where there is none."""
    found = ERROR.findall(_text(log))
    return found[-1] if found else None


def end_of(log: Path) -> str:
    """Return what led to the last error, though others have written after it; without one, the end."""
    text = _text(log)
    ends = [each.end() for each in ERROR.finditer(text)]
    return text[: ends[-1] if ends else None].rstrip()[-MOST:]


def _text(log: Path) -> str:
    return log.read_text(errors="replace")
