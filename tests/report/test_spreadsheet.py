"""results.csv says what results.json says."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from loadtests.analysis.results import FILE, RESULTS, Results
from loadtests.report import spreadsheet
from tests.samples import full, other, results, trial


def read(made: Results, folder: Path) -> list[dict[str, str]]:
    spreadsheet.write(folder / "results.csv", made)
    with (folder / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def same(text: str, value: Any) -> bool:
    return text == "" if value is None else text == str(value)


@pytest.mark.parametrize(
    "made", [full(), results([trial(1, "naive_sync", 3.0, lost=2), other(trial(1, "other", 5.0))])]
)
def test_every_level_of_every_trial_is_a_row(made: Results, tmp_path: Path) -> None:
    rows = read(made, tmp_path)
    levels = [(t, one) for t in made["trials"] for one in t["levels"]]
    assert len(rows) == len(levels) + len(made["floor"])
    for row, (each, one) in zip(rows, levels, strict=False):
        assert (row["profile"], row["twin"], row["pair"]) == (
            each["profile"],
            each["twin"],
            str(each["pair"]),
        )
        assert same(row["offered_rps"], one["offered_rps"])
        assert same(row["latency_p95_ms"], one["latency_ms"]["p95"])
        assert same(row.get("due_latency_p95_ms", ""), (one["due_latency_ms"] or {}).get("p95"))
        assert same(row["failed_500_requests"], one["failed"]["500"])
        assert same(row["trial_lost_events"], each["reconcile"]["lost"])
        assert same(row["trial_memory_app_mb"], each["memory_mb"].get("app"))
        assert same(row["trial_statements"], each["statements"])


@pytest.mark.parametrize("path", sorted(RESULTS.rglob(FILE)), ids=lambda path: path.parent.name)
def test_every_published_sheet_is_made_of_the_results_beside_it(path: Path, tmp_path: Path) -> None:
    spreadsheet.write(tmp_path / "results.csv", json.loads(path.read_text()))
    assert path.with_suffix(".csv").read_bytes() == (tmp_path / "results.csv").read_bytes()


def test_the_floor_comes_last(tmp_path: Path) -> None:
    made = full()
    rows = read(made, tmp_path)[-len(made["floor"]) :]
    assert [row["level"] for row in rows] == [each["name"] for each in made["floor"]]
    assert {row["twin"] for row in rows} == {"floor"}


def test_reasons_with_commas_and_quotes_are_read_back(tmp_path: Path) -> None:
    bad = trial(1, "naive_sync", 3.0)
    bad["valid"], bad["invalid_reasons"] = False, ['it said "no", twice', "and died"]
    (row, _) = read(results([bad]), tmp_path)
    assert (row["trial_valid"], row["trial_invalid_reasons"]) == ("False", 'it said "no", twice; and died')
