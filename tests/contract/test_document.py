"""docs/contract.md says what is true."""

import re
from pathlib import Path

from shared.event import MAX_BODY
from shared.fingerprint import fingerprint
from shared.head import MAX_HEAD
from shared.quota import MAX_SERVICES, OTHERS, OVERFLOW
from tests.contract.odd import ODD

TEXT = (Path(__file__).parent.parent.parent / "docs" / "contract.md").read_text()


def test_its_table_of_odd_requests_is_what_is_tested() -> None:
    table = TEXT.split("## Odd requests")[1].split("**Exceptions.**")[0]
    rows = re.findall(r"^\| (.+) \| (\d+) \|$", table, re.MULTILINE)
    assert rows == [(name, str(status)) for name, (_, status) in ODD.items()]


def test_its_fingerprints_are_right() -> None:
    examples = re.findall(r"^\| `(.+)` \| `(.+)` \| `([0-9a-f]{64})` \|$", TEXT, re.MULTILINE)
    assert len(examples) == 2
    for service, message, expected in examples:
        assert fingerprint(message, service) == expected


def test_its_limits_are_the_codes() -> None:
    assert f"{MAX_BODY:,} bytes" in TEXT
    assert f"{MAX_HEAD:,} bytes" in TEXT
    assert f"{MAX_SERVICES:,} are remembered" in TEXT


def test_its_names_of_what_is_shared_are_the_codes() -> None:
    assert f"`{OVERFLOW}`" in TEXT
    assert f"`{OTHERS}`" in TEXT
