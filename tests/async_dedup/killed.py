"""A flush or a digest in a process of its own that is killed at a named step."""

import signal
from pathlib import Path

from loadtests.studies.faults.steps import environment
from shared.settings import Settings
from tests.parts import running

SCRIPT = """
import sys
from async_dedup import digest, flush
from async_dedup.buffer import Buffer
from shared.db import make_background_engine
from shared.settings import load

work = {"flush": flush.flush, "digest": digest.digest_all}[sys.argv[1]]
work(Buffer(load()), make_background_engine(load()))
"""


def kill_at(settings: Settings, folder: Path, work: str, step: str) -> None:
    """`work` is "flush" or "digest", `step` the function that it is about to call."""
    own = environment(step, "kill")
    with running(settings, folder / "log", "-c", SCRIPT, work, more=own) as process:
        assert process.wait() == -signal.SIGKILL, (folder / "log").read_text()
