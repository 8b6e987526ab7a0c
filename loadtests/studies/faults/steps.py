"""The named steps of whatever makes an event durable: between any two of them a process may be killed."""

from pathlib import Path
from typing import Literal

from loadtests.bootstrap import ROOT

WITHIN = Path(__file__).parent / "within"
DIGEST = {
    "not taken yet": "async_dedup.buffer.Buffer.take",
    "taken": "async_dedup.digest._make_durable",
    "in the transaction": "async_dedup.digest.row",
    "committed": "async_dedup.buffer.Buffer.finish",
    "finished": "async_dedup.digest.digest_events.observe",
}
FLUSH = {
    "not claimed yet": "async_dedup.buffer.Buffer.claim",
    "claimed": "async_dedup.flush._apply",
    "in the transaction": "async_dedup.flush._rows",
    "committed": "async_dedup.buffer.Buffer.drop",
    "dropped": "async_dedup.buffer.Buffer.mark_flushed",
}
DIRECT = {
    "not begun yet": "async_dedup.direct.write",
    "in the transaction": "async_dedup.direct.rows_of",
    "committed": "async_dedup.stores.events_direct.inc",
}
SPOOL = {
    "not written yet": "async_dedup.spool._write",
    "written": "async_dedup.spool.os.fdatasync",
    "synced": "async_dedup.stores.events_spooled.inc",
}
REPLAY = {
    "read": "async_dedup.replay.Replay._apply",
    "in the transaction": "async_dedup.replay.direct.rows_of",
    "applied": "async_dedup.replay.pause",
    "all applied": "async_dedup.replay.spool.remove",
}
"""What is about to be called there."""


def environment(step: str, deed: Literal["kill", "fail"], call: int = 1) -> dict[str, str]:
    """With it a Python process does the deed instead of the `call`-th call of `step`, and of all after it."""
    return {
        "PYTHONPATH": f"{WITHIN}:{ROOT}",
        "FAULT_STEP": step,
        "FAULT_DEED": deed,
        "FAULT_CALL": str(call),
    }
