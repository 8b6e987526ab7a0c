"""What becomes of an event whose service has a quota."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from shared.answer import Refused

Fate = Refused | Literal["kept", "folded"]
"""Refused are those that were throttled."""
KEPT: Literal["kept"] = "kept"
FOLDED: Literal["folded"] = "folded"


class Verdict(NamedTuple):
    """Of a group that was counted, as far as it may be."""

    payloads: int
    """That Redis got; -1 where the group was added before."""
    fates: Sequence[Fate]
    """Of each event."""


class Folded(NamedTuple):
    """An event that is kept on its service's overflow issue."""

    kept_at: datetime
