"""Pages and code of the workshop name the same things."""

import re
from pathlib import Path

import pytest

from loadtests.bootstrap import ROOT
from loadtests.labs import own, race
from loadtests.labs.__main__ import LABS
from shared.settings import Settings, variable

WORKSHOP = ROOT / "workshop"
PAGES = sorted(WORKSHOP.glob("*.md"))
CODE = sorted((ROOT / "loadtests" / "labs").glob("*.py"))
FOLDERS = ("", "naive_sync", "async_dedup")
"""Where a page that says only the name of a file has it from."""
NAMED_IN_CODE = re.compile(
    r"\b((?:docs|workshop|shared|naive_sync|async_dedup|loadtests)/[\w/-]+(?:\.[a-z]+)?)(?![\w{/-])"
)


@pytest.mark.parametrize("number", LABS)
def test_a_page_is_its_labs(number: int) -> None:
    text = (ROOT / LABS[number].page).read_text()
    assert text.startswith(f"# Lab {number}: {LABS[number].title}\n")
    assert f"```\nmake lab N={number}\n```" in text


def test_every_lab_has_a_page_and_every_page_a_lab() -> None:
    assert {ROOT / lab.page for lab in LABS.values()} == set(WORKSHOP.glob("lab-*.md"))


def test_the_list_has_each_lab_with_its_title_and_time() -> None:
    text = (WORKSHOP / "README.md").read_text()
    rows = re.findall(r"^\| \[(\d+)\. (.*?)\]\((lab-\d+\.md)\) \|.*\| (\d+) minutes", text, re.MULTILINE)
    assert rows == [
        (str(lab.number), lab.title, Path(lab.page).name, str(lab.minutes)) for lab in LABS.values()
    ]


def test_the_labs_that_want_a_quiet_machine_say_so() -> None:
    timed = sorted(lab.number for lab in LABS.values() if lab.is_timed)
    wanting = [lab for lab in LABS if "quiet machine" in (ROOT / LABS[lab].page).read_text()]
    assert wanting == timed
    (said,) = re.findall(r"Labs ([\d, and]+) want a quiet machine", (WORKSHOP / "teacher.md").read_text())
    assert [int(each) for each in re.findall(r"\d+", said)] == timed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_files_and_settings_that_are_there(page: Path) -> None:
    text = page.read_text()
    named = re.findall(r"`(\w[\w/.-]*(?:/|\.(?:py|md|lua|html|js|yml|json)))`", text)
    assert [each for each in named if not any((ROOT / folder / each).exists() for folder in FOLDERS)] == []
    settings = {variable(name) for name in Settings.model_fields}
    assert set(re.findall(r"`(TWINS_[A-Z_]+)`", text)) <= settings


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.name)
def test_a_lab_names_files_that_are_there(path: Path) -> None:
    named = NAMED_IN_CODE.findall(path.read_text())
    assert [each for each in named if not (ROOT / each).exists()] == []


def test_what_is_said_of_a_files_length_is_so() -> None:
    (lines,) = re.findall(r"it has (\d+) lines", (WORKSHOP / "lab-1.md").read_text())
    assert int(lines) == len(race.ORIGINAL.read_text().splitlines())
    assert f"Read the {lines} lines first" in (WORKSHOP / "teacher.md").read_text()
    assert 55 <= len(own.SKELETON.read_text().splitlines()) <= 65, "sixty, as its page says"
