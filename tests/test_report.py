"""RESULTS.md: made of results.json and nothing else, whichever way they went."""

import json
import re
from pathlib import Path

import pytest

from loadtests import report
from loadtests.bootstrap import ROOT
from loadtests.report import render, with_result
from loadtests.results import RESULTS, newest
from loadtests.summary import verdict
from tests.samples import level, results, trial


def test_results_md_is_what_the_newest_results_make() -> None:
    source = newest()
    if source is None:
        pytest.skip("no published run")
    assert (ROOT / "RESULTS.md").read_text() == render(json.loads(source.read_text()))


def test_the_readme_shows_what_the_run_that_it_names_makes() -> None:
    """Not always the newest one: `make bench` leaves the README alone."""
    readme = (ROOT / "README.md").read_text()
    named = re.search(r"Run `(\S+)`", readme)
    assert named is not None
    source = RESULTS / named[1] / "results.json"
    if not source.exists():
        pytest.skip("no published run")
    assert readme == with_result(readme, json.loads(source.read_text()))


def test_the_newest_run_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for run in ("20260102T000000Z-ramp", "20260101T000000Z-ramp"):
        (tmp_path / run).mkdir()
        sample = results([]) | {"run": run}
        (tmp_path / run / "results.json").write_text(json.dumps(sample))
    monkeypatch.setattr(report, "newest", lambda: newest(tmp_path))
    report.write(tmp_path / "RESULTS.md")
    assert "Run `20260102T000000Z-ramp`" in (tmp_path / "RESULTS.md").read_text()


def test_without_a_run_there_is_no_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "newest", lambda: newest(tmp_path))
    with pytest.raises(FileNotFoundError, match="make bench"):
        report.write(tmp_path / "RESULTS.md")


def test_the_same_results_give_the_same_text() -> None:
    sample = results([trial(1, "naive_sync", p95=30.0, lost=7), trial(1, "async_dedup", p95=10.0)])
    assert render(sample) == render(json.loads(json.dumps(sample)))


def test_the_figures_are_those_of_the_trials() -> None:
    text = render(results([trial(1, "naive_sync", p95=30.0, lost=7), trial(1, "async_dedup", p95=10.0)]))
    assert "| 10 users | 30.0 | 10.0 | 1.5 | 3.00 |" in text
    assert "| 1 | naive_sync | 1,000 | 0 | 993 | 7 | 0 | 2 x 500 |" in text
    assert "demo, no interval" in text
    assert "A \\| B, 2 cores" in text
    assert "line [30.0]\n    line [10.0]\n    line [1.5]" in text


def test_an_unflattering_result_is_told_in_the_same_words() -> None:
    text = verdict(results([trial(1, "naive_sync", p95=5.0), trial(1, "async_dedup", p95=10.0, lost=3)]))
    assert "within 5.0 ms by naive_sync and within 10.0 ms by async_dedup, a ratio of 0.50" in text
    assert "async_dedup lost 3 of 1,000 events" in text


def test_six_pairs_are_an_interval() -> None:
    pairs = [trial(n, twin, p95=10.0 + n) for n in range(1, 7) for twin in ("naive_sync", "async_dedup")]
    assert "97% interval" in render(results(pairs))
    assert "demo" not in render(results(pairs))


def test_what_is_invalid_is_shown_with_its_reason_and_in_no_figure() -> None:
    naive, async_ = trial(1, "naive_sync", p95=30.0), trial(1, "async_dedup", p95=10.0)
    async_["valid"], async_["invalid_reasons"] = False, ["died or restarted: worker"]
    text = render(results([naive, async_]))
    assert "| 1 | 1 | async_dedup | 10.0 | died or restarted: worker |" in text
    assert "| 10 users | 30.0 | - | 1.5 | - |" in text
    assert "Nothing valid to compare" in text
    assert "```mermaid" not in text


def test_failures_are_named_by_kind() -> None:
    naive = trial(1, "naive_sync", p95=30.0)
    naive["levels"][0] = level(10, p95=None, reasons=["no request succeeded"])
    async_ = trial(1, "async_dedup", p95=10.0)
    async_["levels"][0]["failed"] = {"500": 0, "503": 12, "timeout": 1}
    text = render(results([naive, async_]))
    assert "12 x 503, 1 x timeout" in text
    assert "10 users: no request succeeded" in text
