"""RESULTS.md: made of results.json and nothing else, whichever way they went."""

import json
import re
from pathlib import Path

import pytest

from loadtests import report
from loadtests.analysis.results import newest
from loadtests.bootstrap import ROOT
from loadtests.report.document import render
from tests.samples import full, level, other, results, trial


def test_results_md_is_what_the_newest_results_make() -> None:
    source = newest()
    assert source is not None
    assert (ROOT / "RESULTS.md").read_text() == render(json.loads(source.read_text()))


def test_the_newest_run_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for run in ("20260102T000000Z-ramp", "20260101T000000Z-ramp"):
        (tmp_path / run).mkdir()
        sample = results([]) | {"run": run}
        (tmp_path / run / "results.json").write_text(json.dumps(sample))
    monkeypatch.setattr(report, "newest", lambda: newest(tmp_path))
    report.write(tmp_path / "RESULTS.md")
    assert "Run `20260102T000000Z-ramp`" in (tmp_path / "RESULTS.md").read_text()
    assert "Run 20260102T000000Z-ramp" in (tmp_path / "20260102T000000Z-ramp" / "report.html").read_text()


def test_without_a_run_there_is_no_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "newest", lambda: newest(tmp_path))
    with pytest.raises(FileNotFoundError, match="make bench"):
        report.write(tmp_path / "RESULTS.md")


def test_the_same_results_give_the_same_text() -> None:
    assert render(full()) == render(json.loads(json.dumps(full())))


def test_the_figures_are_those_of_the_trials() -> None:
    text = render(results([trial(1, "naive_sync", p95=30.0, lost=7), trial(1, "async_dedup", p95=10.0)]))
    spread = "3.00 to 3.00; 1 pair, too few for an interval"
    assert f"| 10 users | 30.0 | 10.0 | 1.5 | 3.00 | {spread} | - |" in text
    assert f"| 10 users | 60.0 | 20.0 | 3.0 | 3.00 | {spread} | - |" in text
    assert "| naive_sync | 1 | 1,000 | 0 | 993 | 7 | 0 |" in text
    assert "| 1 | 1 | naive_sync | 30.0 | 1,000 | 0 | 993 | 7 | 0 | 2 x 500 |  |" in text
    assert "| CPU s, all but the generator | 3.50 | 3.50 |" in text
    assert "| MB written, mysql | 6.00 | 6.00 |" in text
    assert "| SQL statements | 3,000 | 3,000 |" in text
    assert "| mysql, MB | 150 | 150 |" in text
    assert "| of it, in the app | 9.00 | 3.00 |" in text
    assert "| first event to its count, p95, ms | 3,000 | 3,000 |" in text
    assert "A \\| B, 2 cores" in text


def test_only_profiles_that_ran_have_a_section() -> None:
    text = render(results([trial(1, "naive_sync", p95=30.0), trial(1, "async_dedup", p95=10.0)]))
    assert re.findall(r"^## (\w+)$", text, re.MULTILINE) == ["ramp"]
    assert re.findall(r"^## (\w+)$", render(full()), re.MULTILINE) == ["ramp", "spike", "knee"]


def test_every_line_of_a_table_has_as_many_cells() -> None:
    """A cell too many and GitHub drops it."""
    for block in render(full()).split("\n\n"):
        if block.startswith("|"):
            assert len({line.replace("\\|", "").count("|") for line in block.splitlines()}) == 1, block


def test_six_pairs_are_an_interval_with_the_band_of_the_control_beside_it() -> None:
    text = render(full(6))
    assert (
        "| 500 users | 180.0 | 60.0 | 1.5 | 3.00 | 97% interval 2.88 to 3.12; 6 pairs | 0.96 to 1.04 |"
        in text
    )


def test_what_can_t_be_told_apart_is_marked() -> None:
    text = render(full(6, ratio=1.0))
    assert text.count("6 pairs; indistinguishable | 0.96 to 1.04 |") == 10
    assert "by this measure the two are indistinguishable" in text
    assert "6 pairs; indistinguishable" not in render(full(6))


def test_too_few_requests_are_a_dash() -> None:
    assert "| 10 users before | - | - | 1.5 | - |  |  |" in render(full())


def test_the_knee_of_each_and_the_latency_below_it() -> None:
    text = render(full())
    assert "| naive_sync | 200 | p95 of 900 ms at the next rate |" in text
    assert "| floor | 2,000 | the highest rate that was tried |" in text
    assert "async_dedup keeps up with 4.00 times the rate of naive_sync" in text
    assert "| 75 % of the knee | async_dedup | 600 | 1.8 | 4.6 | 9.2 |" in text
    assert "| 200/s | 16.5 | 5.5 | 1.7 | 3.00 |" in text
    assert "| 400/s |" not in text


def test_a_soak_shows_whether_it_changes_over_time() -> None:
    soaked = [trial(1, twin, p95=20.0, profile="soak") for twin in ("naive_sync", "async_dedup")]
    text = render(results(soaked))
    assert "| p95 in the first tenth | 30.0 | 30.0 |\n| p95 in the last tenth | 18.0 | 18.0 |" in text


def test_a_third_implementation_is_a_third_column() -> None:
    trials = [trial(1, "naive_sync", p95=30.0), trial(1, "async_dedup", p95=10.0)]
    text = render(results([*trials, other(trial(1, "other", p95=15.0))]) | {"host": "http://127.0.0.1:9"})
    assert "`other` is the implementation at http://127.0.0.1:9." in text
    heads = (
        "naive_sync | other | async_dedup | floor | naive / other | over the pairs | A/A band | naive / async"
    )
    assert heads in text
    assert "| 10 users | 30.0 | 15.0 | 10.0 | 1.5 | 2.00 |" in text
    assert "| CPU s, app | 2.00 | - | 2.00 |" in text


def test_what_is_invalid_is_shown_with_its_reason_and_in_no_figure() -> None:
    naive, async_ = trial(1, "naive_sync", p95=30.0), trial(1, "async_dedup", p95=10.0)
    async_["valid"], async_["invalid_reasons"] = False, ["died or restarted: worker"]
    text = render(results([naive, async_]))
    assert (
        "| 1 | 1 | async_dedup | 10.0 | 1,000 | 0 | 1,000 | 0 | 0 | 0 | died or restarted: worker |" in text
    )
    assert "| 10 users | 30.0 | - | 1.5 | - |" in text
    assert "Nothing valid to compare" in text


def test_failures_are_named_by_kind() -> None:
    naive = trial(1, "naive_sync", p95=30.0)
    naive["levels"][0] = level(10, p95=None, reasons=["no request succeeded"])
    async_ = trial(1, "async_dedup", p95=10.0)
    async_["levels"][0]["failed"] = {"500": 0, "503": 12, "timeout": 1}
    text = render(results([naive, async_]))
    assert "12 x 503, 1 x timeout" in text
    assert "10 users: no request succeeded" in text
