"""Folders and files of a run that only its owner may look into: events and passwords are in them."""

import os
from pathlib import Path

UMASK = 0o077
"""Of every process of the stack."""
MYSQL_MODES = {"UMASK": "0600", "UMASK_DIR": "0700"}
"""Environment of MySQL and MariaDB, which set an umask of their own."""


def private_folder(path: Path) -> Path:
    """Make it where it is missing, and close it in any case: an earlier version may have left it open."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def write_private(path: Path, text: str) -> None:
    with open(path, "w", opener=opener) as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)


def opener(path: str, flags: int) -> int:
    """For `open`: a new file is for its owner alone."""
    return os.open(path, flags, 0o600)
