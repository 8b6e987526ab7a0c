"""How cost grows: a real point, and the page made of points."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from loadtests.load.workload import REPEATED, Mix, repeated_message
from loadtests.stack import Stack
from loadtests.studies.growth import __main__ as growth
from loadtests.studies.growth import point
from loadtests.studies.growth.known import make_known
from loadtests.studies.growth.page import render
from loadtests.studies.growth.point import Offer, Point, measure
from loadtests.studies.growth.series import SERIES
from shared.fingerprint import fingerprint
from tests.parts import rows
from tests.samples import level
from tests.studies.shared import Shared, measured


def test_a_point_is_measured_on_fingerprints_that_are_known(
    stack: Stack, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(point, "SECONDS", 1.0)
    monkeypatch.setattr(point, "MOST_SECONDS", 1.0)
    setup = Shared(stack)
    with setup.stack() as running:
        found = measure(setup, running, Offer(40, "async_dedup", 100, Mix(40, 120, 300)))
        kept = [*rows(engine).values()]
    assert (found["x"], found["reconcile"]["lost"], found["reconcile"]["extra"]) == (40, 0, 0)
    assert 200 < found["reconcile"]["acknowledged"] == found["reconcile"]["recorded"] < 400
    assert found["level"]["offered_rps"] == pytest.approx(100, rel=0.5)
    assert {"app", "worker", "scheduler", "mysql", "redis", "generator"} == set(found["cpu_seconds"])
    repeated = [row for row in kept if row["message"].startswith(REPEATED)]
    assert len(repeated) == 40
    assert len(kept) > 60
    assert {(len(row["message"]), len(row["stack_trace"])) for row in kept} == {(120, 300)}


def test_as_many_rows_are_made_as_there_are_fingerprints(stack: Stack, engine: Engine) -> None:
    mix = Mix(1_234, message_chars=20)
    with Shared(stack).stack() as running:
        make_known(running.settings, mix)
        found = rows(engine)
    assert set(found) == {fingerprint(repeated_message(each, mix)) for each in range(1_234)}
    assert {len(row["message"]) for row in found.values()} == {20}


def sample(x: int, p95: float, *reasons: str) -> Point:
    """1,000 events that cost 0.3 CPU-ms each."""
    return {
        "x": x,
        "twin": "async_dedup",
        "level": level(10, p95, rate=500.0),
        "cpu_seconds": {"app": 0.2, "redis": 0.1, "generator": 0.15},
        "reconcile": {"acknowledged": 1_000, "unanswered": 0, "recorded": 1_000, "lost": 0, "extra": 0},
        "machine": {"stolen_share": 0.0, "others_share": 0.0, "restarted": []},
        "valid": not reasons,
        "invalid_reasons": [*reasons],
    }


def test_each_series_is_drawn_and_tabled(tmp_path: Path) -> None:
    text = render({"trace": measured([sample(100, 2.0), sample(65_536, 4.0)])}, tmp_path)
    assert 'x-axis "bytes" ["100", "65,536"]' in text
    assert "line [2.2, 4.4]" in text
    assert "line [0.300, 0.300]" in text
    assert "| 65,536 | 500 | 12,000 | 1.8 | 4.4 | 0 | 0.300 | 0.200 | 0.100 | 0.150 | 0 |  |" in text
    assert text.count("## ") == 3


def test_what_is_invalid_is_in_the_table_and_not_drawn(tmp_path: Path) -> None:
    text = render({"rate": measured([sample(10, 2.0), sample(50, 9.0, "stolen")])}, tmp_path)
    assert 'x-axis "% of the knee" ["10"]' in text
    assert "| stolen |" in text
    assert "no plot" in render({"rate": measured([sample(10, 2.0, "stolen")])}, tmp_path)


def test_what_was_written_by_hand_is_below_its_series(tmp_path: Path) -> None:
    (tmp_path / "rate.md").write_text("It bends at half of the knee.\n")
    text = render({"rate": measured([sample(10, 2.0)]), "trace": measured([sample(100, 2.0)])}, tmp_path)
    assert text.index("|\n\nIt bends at half of the knee.\n\n## Size of the stack trace") > 0


def test_every_series_has_a_part_and_a_rate() -> None:
    assert set(growth.GROWTH.parts) == set(SERIES)
    assert all(0 < series.share(x) <= 100 for series in SERIES.values() for x in series.values)
    assert sum(part.seconds for part in growth.GROWTH.parts.values()) < 480


def test_the_knees_are_told_or_published(monkeypatch: pytest.MonkeyPatch) -> None:
    assert growth.knees("120,1600.5") == {"naive_sync": 120.0, "async_dedup": 1600.5}
    monkeypatch.setattr(growth, "newest", lambda: None)
    assert growth.published_knees() is None
    with pytest.raises(SystemExit):
        growth.main(["--parts=rate"])
    with pytest.raises(SystemExit):
        growth.main(["--parts=page", "--knees=12"])
