"""The pages that are written by hand: what they name is there, and what they say to paste works."""

import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from loadtests.bootstrap import ROOT

PAGES = sorted(
    [
        *(ROOT / "README.md", ROOT / "RESULTS.md"),
        *(each for folder in ("docs", "workshop") for each in (ROOT / folder).rglob("*.md")),
    ]
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
FOLDERS = ("", "loadtests", "naive_sync", "async_dedup")
CLONE_MB = 15


def anchors(page: Path) -> set[str]:
    """Return the headings as GitHub names them."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if urlsplit(link).scheme:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_architecture_names_files_that_are_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"`([\w/.]+\.(?:py|lua|html|js|yml|json))`", text)) - {
        "results.json",
        "report.html",
    }
    assert {each for each in named if not any((ROOT / folder / each).exists() for folder in FOLDERS)} == set()
    assert len(named) > 50


def test_every_target_of_make_has_a_line() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE)) - {"help", "setup", "setup-dev"}
    text = (ROOT / "docs/commands.md").read_text()
    assert {target for target in targets if f"`make {target}" not in text} == set()
    texts = (*PAGES, *(ROOT / "loadtests" / "labs").glob("*.py"))
    known = {word for each in texts for word in re.findall(r"`make ([a-z-]+)", each.read_text())}
    assert known <= targets | {"help", "setup", "setup-dev"}


def test_what_the_readme_says_to_paste_shows_a_lost_count(naive_url: str, async_url: str) -> None:
    (block,) = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    for port, url in (("9001", naive_url), ("9002", async_url)):
        block = block.replace(port, str(urlsplit(url).port))
    shown = subprocess.run(["sh", "-c", block], capture_output=True, text=True, check=True, timeout=60).stdout
    naive, async_ = re.findall(r"((?: *\d+ \d{3}\n)+)\"times_seen\":(\d+)", shown)
    answered = {status: int(many) for many, status in re.findall(r"(\d+) (\d{3})", naive[0])}
    assert sum(answered.values()) == 60
    assert 0 < int(naive[1]) < answered["200"]
    assert (async_[0].split(), async_[1]) == (["60", "200"], "60")


def test_results_are_committed_only_where_a_page_tells_of_them() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "loadtests/results"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    pages = "\n".join(page.read_text() for page in PAGES)
    runs = {match[0] for match in map(re.compile(r"\d{8}T\d{6}Z-\w+").search, tracked) if match}
    assert {run for run in runs if run not in pages} == set()
    assert sum((ROOT / each).stat().st_size for each in tracked) < CLONE_MB * 1e6 / 2
