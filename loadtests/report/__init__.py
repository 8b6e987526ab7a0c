"""RESULTS.md, the README's figures and picture, report.html and results.csv, made of results.

No figure in them, and no sentence about figures, comes from anywhere but the results.
"""

import json
from pathlib import Path

from loadtests.analysis.results import RESULTS, Results, newest
from loadtests.bootstrap import ROOT
from loadtests.report import document, front, page, picture, spreadsheet
from loadtests.report.breaks import Offered
from loadtests.report.marks import between
from loadtests.report.soak import soaked

REPORT = ROOT / "RESULTS.md"
README = ROOT / "README.md"
METHOD = ROOT / "docs" / "method.md"
PICTURE = ROOT / "docs" / "images" / "p95.svg"
LADDER = RESULTS / "ladder"
GROWTH = RESULTS / "growth" / "growth.json"


def write(path: Path = REPORT) -> None:
    """Write the newest run's report, page and CSV. Raises FileNotFoundError where there is no run."""
    source, results = _newest()
    path.write_text(document.render(results))
    write_beside(source, results)


def write_beside(source: Path, results: Results) -> None:
    """Write a run's page and CSV into the folder of its results.json."""
    page.write(results, source.with_name(page.FILE))
    spreadsheet.write(source.with_suffix(".csv"), results)


def write_readme(readme: Path = README, drawn: Path = PICTURE) -> None:
    """Put the newest figures between the marks in the README, and draw them. Raises FileNotFoundError."""
    results, ladder = _newest()[1], newest(LADDER)
    text = front.with_figures(readme.read_text(), results, read(ladder) if ladder else None, rising())
    readme.write_text(text)
    drawn.write_text(picture.draw(results))


def read(source: Path) -> Results:
    results: Results = json.loads(source.read_text())
    return results


def write_soak(page: Path = METHOD) -> None:
    """Put the newest soak's figures between the marks in docs/method.md, where there is one."""
    source = newest(profile="soak")
    if source:
        page.write_text(between(page.read_text(), "soak", soaked(read(source))))


def rising(path: Path = GROWTH) -> list[Offered]:
    """Return the naive twin's points of the growth study; none where it has not been made."""
    raw = json.loads(path.read_text()) if path.exists() else {}
    return list(raw["rate_naive"]["values"]) if "rate_naive" in raw else []


def _newest() -> tuple[Path, Results]:
    source = newest()
    if source is None:
        raise FileNotFoundError("no results yet: `make bench` makes some")
    return source, read(source)
