"""The README's figures: made of results and nothing else, whichever way they went."""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

from loadtests import report
from loadtests.analysis.results import RESULTS, Results, newest
from loadtests.bootstrap import ROOT
from loadtests.load.subjects import RUNGS
from loadtests.report import front, picture, read, rising
from loadtests.report.breaks import Offered
from loadtests.report.soak import soaked
from tests.samples import full, level, results, trial

EMPTY = "".join(
    f"<!-- {name}: written by `make report` -->\n<!-- /{name} -->\n"
    for name in ("result", "meaning", "breaks")
)


def ladder(p95s: tuple[float, ...] = (400.0, 200.0, 20.0, 25.0, 12.5)) -> Results:
    return results([trial(1, rung, p95) for rung, p95 in zip(RUNGS, p95s, strict=True)])


def point(rate: float, lost: int, p95: float = 9.0) -> Offered:
    counts = trial(1, "naive_sync", p95, lost)["reconcile"]
    return {"level": level(50, p95, rate=rate), "reconcile": counts, "valid": True}


def made(from_results: Results | None = None, rungs: Results | None = None, *rising_points: Offered) -> str:
    return front.with_figures(EMPTY, from_results or full(), rungs, rising_points)


def test_the_readme_shows_what_the_runs_that_it_names_make() -> None:
    """Not always the newest ones: `make bench` leaves the README alone."""
    readme = (ROOT / "README.md").read_text()
    run, rungs = re.findall(r"[Rr]un `(\d{8}T\S+)`", readme)
    named = read(RESULTS / run / "results.json")
    bought = read(RESULTS / "ladder" / rungs / "results.json")
    assert readme == front.with_figures(readme, named, bought, rising())
    assert report.PICTURE.read_text() == picture.draw(named)


def test_the_newest_runs_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, run, sample in (("", "20260102T0-ramp", full()), ("ladder", "20260103T0-ramp", ladder())):
        (tmp_path / folder / run).mkdir(parents=True)
        (tmp_path / folder / run / "results.json").write_text(json.dumps(sample | {"run": run}))
    monkeypatch.setattr(report, "newest", lambda folder=tmp_path: newest(folder))
    monkeypatch.setattr(report, "LADDER", tmp_path / "ladder")
    (tmp_path / "README.md").write_text(EMPTY)
    report.write_readme(tmp_path / "README.md", tmp_path / "p95.svg")
    text = (tmp_path / "README.md").read_text()
    assert "Run `20260102T0-ramp`" in text
    assert "run `20260103T0-ramp`" in text
    assert (tmp_path / "p95.svg").read_text() == picture.draw(full())


def test_a_readme_without_a_place_for_the_figures_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for meaning"):
        front.with_figures(EMPTY.replace("meaning", "reason"), full(), None, [])


def test_what_is_not_between_the_marks_stays() -> None:
    text = front.with_figures(f"# Before\n{EMPTY}After\n", full(), None, [])
    assert text.startswith("# Before\n<!-- result")
    assert text.endswith("<!-- /breaks -->\nAfter\n")
    assert front.with_figures(text, full(), None, []) == text


def test_what_bought_it_is_the_step_that_bought_most() -> None:
    text = made(rungs=ladder())
    assert "One decision bought most of it: the events of a moment share one upsert and one commit." in text
    assert "With this step, `group_upsert`, p95 at 10 users is 20.0 ms: about 10 times faster" in text
    assert "Redis adds some speed at this load (12.5 ms)" in text


def test_a_redis_that_adds_no_speed_is_said_to_add_none() -> None:
    assert "Redis adds no speed at this load (30.0 ms)" in made(
        rungs=ladder((400.0, 200.0, 20.0, 90.0, 30.0))
    )


def test_no_single_decision_is_credited_where_all_bought_alike() -> None:
    text = made(rungs=ladder((400.0, 200.0, 100.0, 50.0, 25.0)))
    assert "The largest step is one decision" in text
    assert "bought most" not in text


def test_without_all_rungs_none_is_credited() -> None:
    broken = ladder()
    broken["trials"] = [each for each in broken["trials"] if each["twin"] != "redis_count"]
    assert "Not every step between the twins has a valid p95." in made(rungs=broken)
    assert "What bought it" not in made()


def test_the_naive_twin_is_enough_up_to_its_last_level_below_the_limit() -> None:
    text = made(full())
    assert "Its p95 is below 50 ms up to 50 users (45.0 ms, 95 requests/s) and up to 200 requests/s" in text
    assert "But its counts may be wrong." in text


def test_a_naive_twin_that_is_never_enough_is_not_said_to_be() -> None:
    text = made(results([trial(1, "naive_sync", 60.0, lost=50), trial(1, "async_dedup", 10.0)]))
    assert "**When the naive twin is enough.** But its counts may be wrong: it lost 5.0% of them." in text


def test_each_level_at_which_the_async_twin_is_slower_is_named() -> None:
    text = made(results([trial(1, "naive_sync", 5.0), trial(1, "async_dedup", 10.0)]))
    assert "In `ramp`, level `10 users`, its p95 is 10.0 ms, the naive twin's 5.0 ms" in text
    assert "0.50 to 0.50; 1 pair, too few for an interval" in text
    assert "its p95 is" not in made().partition("speaks against")[2].partition("<!-- breaks")[0]


def test_what_answering_early_costs_is_said() -> None:
    text = made()
    assert "row is there within 0.0 s, a count within 3.0 s" in text
    assert "2 more processes and a Redis: 92 MB of memory instead of 80, MySQL's not counted." in text


def test_what_breaks_first_stands_first() -> None:
    trials = [trial(1, "naive_sync", 5.0, lost=9), trial(1, "async_dedup", 10.0)]
    trials[0]["levels"] = [level(10, 5.0), level(20, 40.0), level(40, 400.0)]
    for each, rate in zip(trials[0]["levels"], (100.0, 190.0, 192.0), strict=True):
        each["achieved_rps"] = rate
    trials[0]["mean_ms"] = {"request": 10.0, "pool": 4.0}
    table = made(results(trials), None, point(50, 0), point(80, 2), point(120, 30)).partition("| --- |")[2]
    whats = [line.split(" | ")[0].strip("| ") for line in table.splitlines()[1:7]]
    assert whats == [
        "counts are lost",
        "an answer 500",
        "more users bring no more answers",
        "p95 passes 50 ms",
        "requests wait for the pool",
        "it refuses, or says nothing",
    ]
    assert "at 80 requests/s: 2 of 1,000" in table
    assert "from 10 users on: 2 of 1,002 requests" in table
    assert "above 20 users: 190/s there, 192/s at 40 users" in table
    assert "at 40 users: 400 ms" in table
    assert "40% of a request's time in the app" in table
    assert "not seen, with up to 40 users" in table


def test_what_never_broke_is_not_said_to_have() -> None:
    text = made(results([trial(1, "naive_sync", 5.0), trial(1, "async_dedup", 4.0)]))
    assert all(words not in text for words in ("counts are lost", "an answer 500", "p95 passes"))


def test_refusals_are_counted_by_kind() -> None:
    naive = trial(1, "naive_sync", 5.0)
    naive["failed"] = {"503": 7, "timeout": 1}
    text = made(results([naive, trial(1, "async_dedup", 4.0)]))
    assert "| it refuses, or says nothing | 7 x 503, 1 x timeout |" in text


def test_the_picture_shows_what_the_headline_says() -> None:
    drawn = picture.draw(full())
    assert picture.curves(full())["naive_sync"][-1] == (500, 180.0)
    assert re.findall(r'start">(\w+|[\d.,]+ ms)</text>', drawn) == [
        *("naive_sync", "180 ms", "async_dedup", "60.0 ms", "floor", "1.5 ms"),
    ]
    assert "naive_sync from 33.0 ms at 10 users to 180 ms at 500" in drawn
    assert drawn == picture.draw(json.loads(json.dumps(full())))


def test_the_axes_are_logarithmic() -> None:
    drawn = picture.draw(full())
    heights = [float(each) for each in re.findall(r'class="grid".* y1="([\d.]+)"', drawn)]
    steps = {round(one - two, 1) for one, two in pairwise(heights)}
    assert len(heights) > 2
    assert max(steps) - min(steps) < 0.2
    assert re.findall(r'end">([\d,]+)</text>', drawn) == ["1", "10", "100", "1,000"]


def test_a_subject_without_a_p95_has_no_curve() -> None:
    bad = trial(1, "naive_sync", 5.0)
    bad["valid"] = False
    assert set(picture.curves(results([bad, trial(1, "async_dedup", 4.0)]))) == {"async_dedup", "floor"}
    assert picture.draw(results([bad, trial(1, "async_dedup", 4.0)])).endswith("</svg>\n")


def test_method_md_tells_of_the_newest_soak(tmp_path: Path) -> None:
    text = report.METHOD.read_text()
    copy = tmp_path / "method.md"
    copy.write_text(text)
    report.write_soak(copy)
    assert copy.read_text() == text


def test_a_soak_that_drifts_shows_it() -> None:
    soaks = [trial(1, twin, 20.0, lost, "soak") for twin, lost in (("naive_sync", 7), ("async_dedup", 0))]
    timeline = soaks[0]["timeline"]
    assert timeline
    timeline["p95_ms"] = [float(each) for each in range(1, 101)]
    text = soaked(results(soaks))
    assert "| p95, the lowest and the highest of ten parts | 5.5 and 95.5 ms | 18.0 and 30.0 ms |" in text
    assert "| acknowledged events, of them lost | 1,000, 7 | 1,000, 0 |" in text
    assert "| written by MySQL and by Redis | 0.0 and 0.0 GB | 0.0 and 0.0 GB |" in text
    assert "80, -, -, 12 MB" in text
    assert "changes" not in text
    assert "`+changes`: more lay" in soaked(results(soaks) | {"commit": "0123+changes"})
