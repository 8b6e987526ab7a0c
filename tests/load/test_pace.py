"""LAB_SHORT makes what is shown short, and 0 does not."""

import pytest

from loadtests.load.pace import pace


@pytest.mark.parametrize(("short", "is_short"), [("1", True), ("yes", True), ("0", False), ("", False)])
def test_only_what_says_so_is_short(short: str, is_short: bool) -> None:
    assert (pace(short) < 1) is is_short
