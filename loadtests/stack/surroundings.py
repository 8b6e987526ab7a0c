"""The environment of what is measured: nothing that the caller's shell happens to hold decides what it does.

uvicorn, gunicorn and Locust read settings of their own from it (UVICORN_*, GUNICORN_CMD_ARGS, LOCUST_*), and
Python its path and its allocator: so a variable passes only where it is listed here.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from loadtests.bootstrap import ROOT
from shared.settings import PREFIX

PASSED = (
    *("PATH", "USER", "LOGNAME", "SHELL"),
    *("LANG", "LANGUAGE", "TZ", "TMPDIR"),
    # Without these a Python or a server outside the usual folders does not find its libraries.
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "NIX_LD", "NIX_LD_LIBRARY_PATH"),
)
PASSED_FAMILIES = ("LC_", PREFIX)


def surroundings(run_dir: Path, own: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for a process of the stack, with `own` before the caller's."""
    passed = {
        name: value
        for name, value in os.environ.items()
        if name in PASSED or name.startswith(PASSED_FAMILIES)
    }
    # Locust reads ~/.locust.conf. And `python -m` finds the code whether or not it looks into its folder.
    fixed = {"HOME": str(run_dir), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    return passed | fixed | dict(own or {})
