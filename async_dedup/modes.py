"""Where rates are decided: pure code, told whether Redis is there and whether a peer was heard.

```
redis --(Redis is left: 3 failures in a row)--> peer --(5 cycles in a row without a peer)--> local
  ^                                              |  ^                                          |
  |                                              |  +-------(3 cycles in a row with one)-------+
  +----------- Redis takes writes again ---------+---------------------------------------------+
```

Redis's failures are counted once, by the ingest's states: nobody waits for a time-out on account of a rate.
"""

from enum import StrEnum

from async_dedup.states import State

CYCLE = 0.1
"""Seconds between two tellings to the peers."""
SILENT, HEARD = 5, 3
"""Cycles in a row after which there is no peer, or one again."""


class Mode(StrEnum):
    REDIS = "redis"
    PEER = "peer"
    """Each process counts what all of them let through."""
    LOCAL = "local"
    """Each process has its share, and knows of no other."""


class Modes:
    def __init__(self, has_peers: bool) -> None:
        self._has_peer = has_peers
        self._state = State.REDIS
        self._silent = 0
        self._heard = 0

    @property
    def mode(self) -> Mode:
        if self._state is State.REDIS:
            return Mode.REDIS
        return Mode.PEER if self._has_peer else Mode.LOCAL

    def ingest_is(self, state: State) -> None:
        """`direct` and `spool` are alike here: Redis is away."""
        self._state = state

    def cycle(self, heard: bool) -> None:
        """Whether any peer was heard since the cycle before, and has heard this process."""
        self._silent, self._heard = (0, self._heard + 1) if heard else (self._silent + 1, 0)
        if self._has_peer:
            self._has_peer = self._silent < SILENT
        else:
            self._has_peer = self._heard >= HEARD
