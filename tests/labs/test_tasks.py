"""What a learner has mended or built is tried, and told from what is not done yet."""

import shutil
from pathlib import Path

import pytest

from loadtests.bootstrap import ROOT
from loadtests.labs import own, race
from loadtests.stack import Stack
from tests.labs.benches import SharedBench

SOLUTIONS = ROOT / "workshop" / "solutions" / "lab-2"


@pytest.mark.parametrize(
    "name", ["original", "upsert", "for_update", "compare", "broken", "torn", "lock_only", "silent"]
)
def test_lab_2_knows_a_copy_that_is_mended(stack: Stack, tmp_path: Path, name: str) -> None:
    bench = SharedBench(tmp_path, stack)
    copy = race.mine(bench)
    assert copy.read_text() == race.ORIGINAL.read_text()
    if name == "broken":
        copy.write_text("import what_nobody_has")
    elif name == "torn":
        copy.write_text("\nissue.times_seen +== 1\n")
    elif name == "lock_only":
        read = "select(Issue).where(Issue.fingerprint == event.fingerprint)"
        assert read in copy.read_text()
        copy.write_text(copy.read_text().replace(read, f"{read}.with_for_update()"))
    elif name != "original":
        shutil.copy(SOLUTIONS / ("for_update.py" if name == "silent" else f"{name}.py"), copy)
    if name == "silent":  # who comes second is told that it was counted
        copy.write_text(copy.read_text().replace("return False", "return True"))
    verdict = race.verify(bench)
    assert verdict.is_done is (name in ("upsert", "for_update", "compare")), verdict.why
    assert ("does not start" in verdict.why) is (name == "broken")
    assert ("ingest.py, line 2: invalid syntax" in verdict.why) is (name == "torn")
    assert ("answers were not 200" in verdict.why) is (name == "lock_only")


@pytest.mark.parametrize(
    ("name", "told"),
    [("skeleton", "0 are counted"), ("broken", "It does not answer"), ("solution", "it is faster")],
)
def test_lab_10_knows_a_twin_that_counts(stack: Stack, tmp_path: Path, name: str, told: str) -> None:
    bench = SharedBench(tmp_path, stack)
    copy = own.mine(bench)
    assert copy.read_text() == own.SKELETON.read_text()
    if name == "broken":
        copy.write_text("no Python")
    elif name == "solution":
        shutil.copy(ROOT / "workshop" / "solutions" / "lab-10" / "third.py", copy)
    verdict = own.verify(bench)
    assert told in verdict.why
    assert verdict.is_done is (name == "solution")
