"""What can't be read, or is refused by MySQL, is set aside with its reason: what stands behind it goes on.

Other versions of this program, and operators, write to the same Redis. One entry that none of this version's
code can apply would otherwise be tried again for ever.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from async_dedup.keys import BATCHES, MAX_SET_ASIDE, MOVE_ASIDE, SET_ASIDE
from shared.pipeline_metrics import set_aside

Kind = Literal["first_event", "count", "batch"]

MAX_CONTENT = 4096
"""Characters kept of each: enough to see what it was."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unfit:
    """Where it stands, what removes it from there, and what is wrong with it."""

    kind: Kind
    key: str
    remove: Sequence[str | bytes | int]
    """A command and its arguments after the key."""
    reason: str
    content: Mapping[bytes, bytes]


class SetAside:
    """One round trip for any number. Two processes that find the same thing note it once."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self._move = redis.register_script(MOVE_ASIDE)

    def __call__(self, unfit: Sequence[Unfit]) -> None:
        with self._redis.pipeline(transaction=False) as pipeline:
            for each in unfit:
                arguments = [MAX_SET_ASIDE, each.kind, each.reason, shown(each.content), *each.remove]
                self._move([each.key, SET_ASIDE], arguments, client=pipeline)
            moved = pipeline.execute()
        for each, was_there in zip(unfit, moved, strict=True):
            if was_there:
                set_aside.labels(each.kind).inc()
                # Not the reason: it may hold what a client sent.
                log.error("Set aside what could not be applied, in %s: one %s", SET_ASIDE, each.kind)


def shown(content: Mapping[bytes, bytes]) -> str:
    """As JSON, whatever its bytes are."""
    text = {
        name.decode(errors="backslashreplace"): value.decode(errors="backslashreplace")
        for name, value in content.items()
    }
    return json.dumps(text)[:MAX_CONTENT]


def unfit_batch(batch_id: bytes, reason: str) -> Unfit:
    """Only its id: whatever stands under its key is left for who wants to look at it."""
    return Unfit("batch", BATCHES, ("LREM", 0, batch_id), reason, {b"id": batch_id})
