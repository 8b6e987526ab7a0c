"""The tables at the end of a run, as wide as a terminal: nothing cut, nothing empty."""

import pytest
from rich.console import Console

from loadtests.analysis.results import Results
from loadtests.load.subjects import OTHER, SUBJECTS
from loadtests.report.terminal import show_results
from tests.samples import full, level, results, trial


def shown(made: Results, width: int = 80) -> str:
    console = Console(width=width, highlight=False)
    with console.capture() as printed:
        show_results(console, made)
    return printed.get()


def of_everyone() -> Results:
    trials = [trial(n, name, 30.0 / rank) for n in (1, 2) for rank, name in enumerate(SUBJECTS, 1)]
    for each in trials:
        each["reconcile"]["acknowledged"] = 3_009_383
    return results(trials)


@pytest.mark.parametrize("made", [full(6), of_everyone()], ids=["twins", "everyone"])
def test_nothing_is_cut_at_80_columns(made: Results) -> None:
    text = shown(made)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    for name in {each["twin"] for each in made["trials"]}:
        assert text.count(f"{name} ") > 1


def test_everyone_has_a_row_and_the_ratio_to_the_one_above() -> None:
    text = " ".join(shown(of_everyone()).split())
    assert "10 users naive_sync 30.0 95 0 upsert 15.0 2.00 95 0 group_upsert 10.0 1.50 95 0" in text
    assert "async_dedup 5.0 1.20 95 0 floor 1.5 95" in text


def test_a_column_of_which_nothing_is_known_is_left_out() -> None:
    assert "keeps" in shown(full(6))
    assert "keeps" not in shown(of_everyone())


def test_what_failed_outside_the_levels_is_counted_too() -> None:
    made = full(6)
    made["trials"][0]["failed"] = {"500": 41}
    (row,) = [
        line for line in shown(made).splitlines() if line.split()[:4] == ["naive_sync", "0", "of", "12,000"]
    ]
    assert row.split()[4] == "41"


def test_a_smoke_run_has_figures_in_brackets() -> None:
    trials = [
        trial(1, name, p95, profile="smoke") for name, p95 in (("naive_sync", 30.0), ("async_dedup", 10.0))
    ]
    for each in trials:
        p95 = 30.0 if each["twin"] == "naive_sync" else 10.0
        each["levels"] = [level(20, p95, profile="smoke", acknowledged=90)]
    text = " ".join(shown(results(trials) | {"profile": "smoke"}).split())
    assert "naive_sync (30.0) 95 0" in text
    assert "async_dedup (10.0) (3.00) 95 0" in text
    assert "in brackets: few requests, for a look only" in text
    assert "(30.0)" not in shown(results(trials)), "of a published profile there is none"


def test_of_who_has_no_valid_level_there_is_a_dash() -> None:
    made = full(6)
    for each in made["trials"]:
        each["valid"] = each["twin"] != "naive_sync"
    text = " ".join(shown(results(made["trials"])).split())
    assert "10 users naive_sync - - - async_dedup 11.0 - 95 0" in text
    assert OTHER not in text
