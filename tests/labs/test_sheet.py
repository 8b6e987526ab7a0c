"""The sheet to print: one page, with all that is on it; and what it says holds."""

import re
from pathlib import Path
from unicodedata import normalize

import pytest
from pypdf import PdfReader

from loadtests.bootstrap import ROOT
from loadtests.labs.__main__ import LABS
from loadtests.labs.broken import STATES
from loadtests.labs.handouts import sheet
from loadtests.labs.handouts.chromium import NotPrinted, to_pdf

TEXT = sheet.SOURCE.read_text()
ROW = re.compile(r"^\| (.+?) \|", re.MULTILINE)
HEAD = re.compile(r"^\|.*\n\|[-|]+$", re.MULTILINE)
A4 = (595, 842)
"""Points."""


def squeezed(text: str) -> str:
    """Without ligatures, what a page breaks lines at, and Markdown's marks."""
    return re.sub(r"[\s`|*#-]", "", normalize("NFKC", text))


def printed(text: str, folder: Path) -> PdfReader:
    page = folder / "page.html"
    page.write_text(sheet.to_html(text))
    to_pdf(page, folder / "page.pdf")
    return PdfReader(folder / "page.pdf")


def part(heading: str) -> str:
    return TEXT.partition(f"## {heading}\n")[2].partition("\n## ")[0]


def first_column(text: str) -> list[str]:
    """Of the table in it, without its head."""
    return [str(cell) for cell in ROW.findall(text)[1:]]


def test_it_is_one_page_with_every_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sheet.main(["--folder", str(tmp_path)]) == 0
    assert sheet.FILE in capsys.readouterr().out
    (page,) = PdfReader(tmp_path / sheet.FILE).pages
    assert (round(page.mediabox.width), round(page.mediabox.height)) == A4
    found = squeezed(page.extract_text())
    told = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", HEAD.sub("", TEXT))
    assert [line for line in told.splitlines() if squeezed(line) not in found] == []
    assert {file.name for file in tmp_path.iterdir()} == {sheet.FILE, "sheet.html"}


def test_what_is_too_much_for_a_page_is_seen(tmp_path: Path) -> None:
    assert len(printed(TEXT, tmp_path).pages) == 1
    assert len(printed(f"{TEXT}\n{part('Commands')}\n{part('Words')}", tmp_path).pages) > 1


def test_no_path_and_no_markup_gets_on_the_paper(tmp_path: Path) -> None:
    (page,) = printed("[word](glossary.md) <b>bold</b>", tmp_path).pages
    assert "word" in page.extract_text()
    assert "<b>bold</b>" in page.extract_text()
    assert "/Annots" not in page


def test_without_chromium_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert sheet.main(["--folder", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert told.startswith("sheet: no Chromium found")
    assert "sudo apt-get install chromium" in told
    assert "sheet.html from any other browser" in told
    assert (tmp_path / "sheet.html").exists()
    assert not (tmp_path / sheet.FILE).exists()


@pytest.mark.parametrize(("does", "told"), [("exit 0", "printed nothing"), ("echo why >&2; exit 3", "why")])
def test_a_chromium_that_prints_nothing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, told: str
) -> None:
    program = tmp_path / "chromium"
    program.write_text(f"#!/bin/sh\n{does}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "old.pdf").write_text("of last time")
    with pytest.raises(NotPrinted, match=told):
        to_pdf(tmp_path / "page.html", tmp_path / "old.pdf")
    assert (tmp_path / "old.pdf").read_text() == "of last time"


def test_it_has_every_lab_and_state_and_its_words_are_in_the_glossary() -> None:
    labs = first_column(part("The labs, in one line each"))
    assert labs == [f"{lab.number}. {lab.title}" for _, lab in sorted(LABS.items())]
    states = first_column(part("Where the async twin keeps an event before it answers"))
    assert states == [f"`{state}`" for state in STATES]
    words = {word for cell in first_column(part("Words")) for word in cell.split(", ")}
    glossary = first_column((ROOT / "workshop" / "glossary.md").read_text())
    known = {word for cell in glossary for word in cell.split(", ")}
    assert words <= known
    assert "](glossary.md)" in TEXT
