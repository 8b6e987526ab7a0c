"""How long what is shown takes: with LAB_SHORT=1 a part of it, to rehearse or to test."""

import os


def pace(short: str) -> float:
    """Return it for a value of LAB_SHORT: 0, or nothing, is not short."""
    return 1.0 if short in ("", "0") else 0.4


PACE = pace(os.environ.get("LAB_SHORT", ""))
"""By which labs and demonstrations multiply their seconds."""
