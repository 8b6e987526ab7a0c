"""Python imports this at its start wherever it finds it in PYTHONPATH: `steps.py` sets both.

The call that the environment names then ends the process, or fails, instead of being made.
"""

import errno
import os
import pkgutil
import signal
from itertools import count
from typing import Any


def put_in(step: str, deed: str, call: int) -> None:
    """`step` is the dotted name of a function; from its `call`-th call on the deed is done instead."""
    owner_name, name = step.rsplit(".", 1)
    owner = pkgutil.resolve_name(owner_name)
    before, calls = getattr(owner, name), count(1)

    def instead(*arguments: Any, **options: Any) -> Any:
        if next(calls) < call:
            return before(*arguments, **options)
        if deed == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    setattr(owner, name, instead)


if "FAULT_STEP" in os.environ:
    put_in(os.environ["FAULT_STEP"], os.environ["FAULT_DEED"], int(os.environ["FAULT_CALL"]))
