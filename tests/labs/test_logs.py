"""What is quoted of a learner's log: the last error, and what led to it."""

from pathlib import Path

import pytest

from loadtests.labs.logs import MOST, end_of, last_error

TRACEBACK = """Traceback (most recent call last):
  File "third.py", line 25, in keep
    raise KeyError("id")
"""


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", None),
        ("all is well\n", None),
        ('127.0.0.1 - - "POST /Error: HTTP/1.1" 200 -\n', None),
        (f"{TRACEBACK}KeyError: 'id'\nlater\n", "KeyError: 'id'"),
        ("KeyError: 1\npymysql.err.DataError: (1364, 'no')\n", "pymysql.err.DataError: (1364, 'no')"),
    ],
)
def test_the_last_error_is_found(tmp_path: Path, text: str, error: str | None) -> None:
    log = tmp_path / "log"
    log.write_text(text)
    assert last_error(log) == error


def test_what_comes_after_an_error_does_not_hide_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    before = f"an earlier line\n{TRACEBACK}ValueError: of before\n"
    log.write_text(f"{before}{TRACEBACK}KeyError: 'id'\n" + '127.0.0.1 - - "GET / HTTP/1.1" 200 -\n' * 100)
    assert end_of(log) == f"{TRACEBACK}KeyError: 'id'"


def test_a_long_log_is_cut(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"\xff" + b"x" * 2 * MOST + b"\x1b[35mend\x1b[0m\n")
    assert len(end_of(log)) == MOST
    assert end_of(log).endswith("xend")
