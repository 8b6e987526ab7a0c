"""`make own`: the learner's own twin, for `make bench HOST=...` beside it."""

import re
import shutil
from pathlib import Path

import pytest

from loadtests.bootstrap import ROOT
from loadtests.labs.progress import WORKSHOP
from loadtests.trial.over_http import Listing, check_health
from tests import client
from tests.conftest import Install
from tests.labs.learner import LIMIT, terminal

SOLUTION = ROOT / "workshop" / "solutions" / "lab-10" / "third.py"


@pytest.fixture
def copy(tmp_path: Path, install: Install) -> Path:
    folder = install(tmp_path) / WORKSHOP / "lab-10"
    folder.mkdir(parents=True)
    return Path(shutil.copy(SOLUTION, folder))


def test_it_is_served_until_ctrl_c(tmp_path: Path, copy: Path) -> None:
    with terminal("make own", tmp_path) as shown:
        shown.wait_for("Ctrl-C ends it here")
        (url,) = re.findall(r"make bench HOST=(\S+);", shown.said())
        assert str(copy) in shown.said()
        check_health(url)
        listing = Listing(url)  # as the bench asks it
        assert client.log(url, "one of my own").status == 200
        assert listing.total() == 1
        shown.interrupt()
        shown.process.wait(LIMIT)
        with pytest.raises(OSError, match="refused"):
            client.log(url, "nobody is there")
        assert "Traceback" not in shown.said()


def test_one_that_does_not_start_is_told_with_its_log(tmp_path: Path, copy: Path) -> None:
    copy.write_text("raise SystemExit('I am not ready')\n")
    with terminal("make own", tmp_path) as shown:
        shown.process.wait(LIMIT)
        assert "does not answer" in shown.said()
        assert "I am not ready" in shown.said()
        assert shown.process.returncode != 0
