"""A lost count of who promises none is the first thing that every output says, however its trial went."""

import csv
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from loadtests import compare
from loadtests.analysis.results import Results
from loadtests.analysis.summary import broken_promises
from loadtests.report import page, spreadsheet
from loadtests.report.document import render
from loadtests.report.terminal import show_results
from loadtests.report.verdict import verdict
from tests.samples import full

ALARM = "COUNTS ARE WRONG: async_dedup lost 500 and doubled 3 of 12,000 acknowledged events."


def broken() -> Results:
    """A full run of which one trial lost events, and is not valid for it; the naive twin loses some, too."""
    made = full(6)
    naive, async_ = made["trials"][:2]
    naive["reconcile"]["lost"] = 70
    async_["reconcile"] |= {"lost": 500, "extra": 3}
    async_["valid"], async_["invalid_reasons"] = False, ["counts do not reconcile: 500 lost, 3 extra"]
    return made


def terminal(results: Results) -> str:
    """Return what is printed, with the codes of its colours."""
    console = Console(width=200, force_terminal=True, color_system="standard", highlight=False)
    with console.capture() as printed:
        show_results(console, results)
    return printed.get()


def test_all_trials_count_and_only_of_who_promises() -> None:
    assert [(each.twin, each.lost, each.extra, each.acknowledged) for each in broken_promises(broken())] == [
        ("async_dedup", 500, 3, 12_000)
    ]
    assert broken_promises(full(6)) == []


def test_one_more_event_than_sent_is_enough() -> None:
    made = full(6)
    made["trials"][1]["reconcile"]["extra"] = 1
    assert verdict(made).startswith("COUNTS ARE WRONG: async_dedup lost 0 and doubled 1 of 12,000")


def test_the_verdict_and_results_md_begin_with_it() -> None:
    assert verdict(broken()).startswith(ALARM)
    assert render(broken()).startswith(f"# Results\n\n{ALARM}")
    assert "COUNTS" not in verdict(full(6))


def test_it_is_the_terminal_s_first_line_in_red() -> None:
    assert terminal(broken()).startswith(f"\x1b[1;31m{ALARM}")
    assert "COUNTS" not in terminal(full(6))


def test_the_terminal_s_table_counts_every_trial() -> None:
    assert re.search(r"async_dedup +500 of 12,000 ", terminal(broken()))


def test_it_stands_before_everything_on_the_page() -> None:
    text = page.render(broken())
    assert f'<p class="alarm" role="alert">{ALARM}</p>' in text
    assert text.index(ALARM) < text.index("<h1>")
    assert text.count(ALARM) == 1, "and not twice"
    assert 'class="alarm"' not in page.render(full(6))


def test_it_is_the_first_column_of_the_sheet(tmp_path: Path) -> None:
    spreadsheet.write(tmp_path / "results.csv", broken())
    rows = list(csv.reader((tmp_path / "results.csv").open(newline="")))
    assert rows[0][:2] == ["counts", "twin"]
    found = {(row[1], row[0]) for row in rows[1:]}
    assert found == {
        ("naive_sync", "not promised"),
        ("async_dedup", "right"),
        ("async_dedup", "WRONG: 500 lost, 3 doubled"),
        ("floor", ""),
    }


@pytest.mark.parametrize("which", ["before", "after"])
def test_compare_begins_with_it(which: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = {"before": full(6), "after": full(6)} | {which: broken() | {"run": "broken"}}
    paths = []
    for name, results in runs.items():
        path = tmp_path / name / "results.json"
        path.parent.mkdir()
        path.write_text(json.dumps(results))
        paths.append(str(path.parent))
    status = compare.main(paths)
    out = capsys.readouterr().out
    assert out.startswith(f"broken: {ALARM}\n")
    assert status == (compare.WORSE if which == "after" else 0)
