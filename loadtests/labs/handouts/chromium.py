"""An installed Chromium, without a window: prints a page."""

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from loadtests.bootstrap import BROWSERS, NO_BROWSER, find_program

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
SECONDS = 60.0
"""For which it may print."""


class NotPrinted(Exception):
    """Its message says why, and what can be done."""


def to_pdf(page: Path, pdf: Path) -> None:
    """Print a file, whole or not at all. Raises NotPrinted."""
    program = find_program(*BROWSERS)
    if program is None:
        raise NotPrinted(NO_BROWSER)
    draft = pdf.with_suffix(".part")
    draft.unlink(missing_ok=True)
    # With a profile of its own it does not hand over to one that runs; a packaged one sees no /tmp of ours.
    with TemporaryDirectory(prefix="chromium-", dir=pdf.parent, ignore_cleanup_errors=True) as profile:
        command = [
            *(program, "--headless", *FLAGS, f"--user-data-dir={profile}"),
            *("--no-pdf-header-footer", f"--print-to-pdf={draft}", page.as_uri()),
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise NotPrinted(f"{program} did not print within {SECONDS:g} s") from None
    if done.returncode or not draft.exists():
        raise NotPrinted(f"{program} printed nothing:\n{done.stderr[-2_000:].strip()}")
    draft.replace(pdf)
