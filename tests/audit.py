"""`python -m tests.audit`: known vulnerabilities of the pinned packages, where their list can be reached."""

import json
import subprocess
import sys
from typing import Any

from loadtests.bootstrap import ROOT

LOCKS = ("requirements.lock", "requirements-dev.lock")
OPTIONS = ("--disable-pip", "--require-hashes", "--progress-spinner=off", "--format=json")
NOBODY = '{"dependencies": []}'
PATIENCE = 120.0
"""Seconds."""


def main() -> int:
    """Exit status: 0, also where nobody can be asked; 1: a package has a known vulnerability; 2: it fails."""
    files = [word for name in LOCKS for word in ("--requirement", str(ROOT / name))]
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "pip_audit", *OPTIONS, *files],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        told = json.loads(ended.stdout or NOBODY)
    except subprocess.TimeoutExpired:
        told = json.loads(NOBODY)
    else:
        if not ended.stdout and "onnection" not in ended.stderr:
            print(f"audit: {ended.stderr}", file=sys.stderr)
            return 2
    lines, asked = found(told)
    print("\n".join(lines) or f"audit: {asked} packages without a known vulnerability")
    if not asked:
        print("audit: their database can't be reached from here; left out")
    return 1 if lines else 0


def found(told: Any) -> tuple[list[str], int]:
    """Return a line for each vulnerability, and how many packages could be asked for."""
    known = [each for each in told["dependencies"] if "vulns" in each]
    lines = [
        f"{each['name']} {each['version']}: {vulnerability['id']}, mended in "
        f"{', '.join(vulnerability['fix_versions']) or 'no version yet'}"
        for each in known
        for vulnerability in each["vulns"]
    ]
    return lines, len(known)


if __name__ == "__main__":
    sys.exit(main())
