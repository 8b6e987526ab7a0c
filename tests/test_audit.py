"""What the audit makes of what pip-audit tells."""

from tests.audit import found


def test_a_vulnerability_is_a_line_and_who_could_not_be_asked_for_is_no_all_clear() -> None:
    told = {
        "dependencies": [
            {"name": "good", "version": "1.0", "vulns": []},
            {"name": "bad", "version": "2.0", "vulns": [{"id": "CVE-1", "fix_versions": ["2.1"]}]},
            {"name": "private", "skip_reason": "not found"},
        ]
    }
    assert found(told) == (["bad 2.0: CVE-1, mended in 2.1"], 2)
    assert found({"dependencies": []}) == ([], 0)
