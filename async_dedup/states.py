"""Where an event is kept before it is answered: pure code, told what failed and what answered.

```
redis --(3 failures in a row)--> direct --(MySQL: 5 failures in a row)--> spool
  ^                                |  ^                                     |
  +--------- Redis answers --------+  +------------ MySQL answers ----------+
  +------------------------------- Redis answers ---------------------------+
```

A store is believed to be back after 3 answers in a row; twice as many each time that it was not for long.
"""

from enum import StrEnum
from typing import Literal

Part = Literal["redis", "mysql"]


class State(StrEnum):
    REDIS = "redis"
    DIRECT = "direct"
    """In MySQL, in groups."""
    SPOOL = "spool"
    """In a file of this process."""


RELIES_ON: dict[State, Part] = {State.REDIS: "redis", State.DIRECT: "mysql"}
FAILURES = {State.REDIS: 3, State.DIRECT: 5}
"""In a row, after which a state is left for the next."""
WORSE = {State.REDIS: State.DIRECT, State.DIRECT: State.SPOOL}
BETTER: dict[State, dict[Part, State]] = {
    State.REDIS: {},
    State.DIRECT: {"redis": State.REDIS},
    State.SPOOL: {"redis": State.REDIS, "mysql": State.DIRECT},
}
ANSWERS, MOST_ANSWERS = 3, 24
"""In a row, before a store is relied on again."""
SHORT = 30.0
"""Seconds: a return that did not last so long was none."""


class States:
    """`now` is in seconds, of any clock that only goes forward."""

    def __init__(self, now: float) -> None:
        self.state = State.REDIS
        self.since = now
        self.reason = ""
        """Why it is not the state before; empty at first, and after a return."""
        self._failures = 0
        self._answers: dict[Part, int] = {"redis": 0, "mysql": 0}
        self._needed = ANSWERS
        self._has_returned = False

    @property
    def in_doubt(self) -> bool:
        """Whether the store that is relied on has failed, and not answered since."""
        return self._failures > 0

    def failed(self, part: Part, reason: str, now: float) -> None:
        self._answers[part] = 0
        if RELIES_ON.get(self.state) != part:
            return
        self._failures += 1
        if self._failures < FAILURES[self.state]:
            return
        if self._has_returned:
            lasted = now - self.since
            self._needed = min(2 * self._needed, MOST_ANSWERS) if lasted < SHORT else ANSWERS
        self._enter(WORSE[self.state], now, reason)
        self._has_returned = False

    def answered(self, part: Part, now: float) -> None:
        if RELIES_ON.get(self.state) == part:
            self._failures = 0
            return
        better = BETTER[self.state].get(part)
        if better is None:
            return
        self._answers[part] += 1
        if self._answers[part] >= self._needed:
            self._enter(better, now, "")
            self._has_returned = True

    def _enter(self, state: State, now: float, reason: str) -> None:
        self.state, self.since, self.reason = state, now, reason
        self._failures = 0
        self._answers = {"redis": 0, "mysql": 0}
