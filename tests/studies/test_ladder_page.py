"""docs/ladder.md: made of its newest run and nothing else."""

import json
from itertools import pairwise

from loadtests.analysis.results import Results, newest
from loadtests.bootstrap import ROOT
from loadtests.load.subjects import RUNGS, SUBJECTS
from loadtests.report.numbers import factor
from loadtests.studies.ladder.page import FOLDER, PAGE, render
from tests.samples import level, results, trial

P95S = {"naive_sync": 400.0, "upsert": 200.0, "group_upsert": 20.0, "redis_count": 25.0, "async_dedup": 12.5}


def ladder() -> Results:
    """Three pairs; the naive rung loses 7 events in each, and 500 users are the last level."""
    trials = [
        trial(pair, rung, p95, lost=7 if rung == "naive_sync" else 0)
        for pair in (1, 2, 3)
        for rung, p95 in P95S.items()
    ]
    for each in trials:
        each["levels"].append(level(500, P95S[each["twin"]]))
    return results(trials)


def test_the_page_is_what_the_newest_run_makes() -> None:
    source = newest(FOLDER)
    made = render(json.loads(source.read_text())) if source else None
    assert (PAGE.read_text() if PAGE.exists() else None) == made


def test_make_ladder_measures_every_rung() -> None:
    assert f"STEPS = {','.join(RUNGS)}\n" in (ROOT / "Makefile").read_text()


def test_every_rung_is_described() -> None:
    assert RUNGS[0] == "naive_sync"
    assert RUNGS[-1] == "async_dedup"
    assert "| `upsert` | the same app, but one statement, and the database adds. |" in render(ladder())
    assert all(f"| `{rung}` | {SUBJECTS[rung].about} |" in render(ladder()) for rung in RUNGS)


def test_the_rung_that_bought_most_is_named() -> None:
    text = render(ladder())
    assert "At 500 users `group_upsert` is about 10 times faster than the rung before" in text
    assert (
        ": most of the gain. All rungs, each against the one before: `upsert` about 2.0 times faster, "
        in text
    )
    assert "`redis_count` about 1.2 times slower, `async_dedup` about 2.0 times faster." in text


def test_the_largest_of_many_steps_is_not_called_most_of_the_gain() -> None:
    alike = ladder()
    for each in alike["trials"]:
        each["levels"][-1] = level(500, 400.0 / 2 ** RUNGS.index(each["twin"]))
    assert "most of the gain" not in render(alike)
    assert "about 2.0 times faster than the rung before, by p95: the largest step." in render(alike)


def test_the_ratio_is_that_of_the_rung_before() -> None:
    text = render(ladder())
    for before, rung in pairwise(P95S):
        ratio = factor(P95S[before] / P95S[rung])
        assert f"| `{rung}` | {ratio} ({ratio} to {ratio}) |" in text


def test_the_async_twin_is_held_against_the_best_without_redis() -> None:
    (row,) = [line for line in render(ladder()).splitlines() if line.startswith("| 1.60 ")]
    assert row == "| 1.60 (1.60 to 1.60) | 1.60 (1.60 to 1.60) |", "20 over 12.5, at each level"


def test_the_figures_are_those_of_the_trials() -> None:
    text = render(ladder())
    assert "| `naive_sync` | 400.0 | 400.0 | 95 | 3.50 | 3,000 | 21 |" in text
    assert "| `async_dedup` | 12.5 | 12.5 | 95 | 3.50 | 3,000 | 0 |" in text


def test_with_a_rung_missing_none_bought_most() -> None:
    made = ladder()
    made["trials"] = [each for each in made["trials"] if each["twin"] != "redis_count"]
    text = render(made)
    assert "not every rung has a valid p95" in text
    assert "| `redis_count` | - | - | - | - | 0 | 0 |" in text


def test_every_line_of_a_table_has_as_many_cells() -> None:
    for block in render(ladder()).split("\n\n"):
        if block.startswith("|"):
            assert len({line.replace("\\|", "").count("|") for line in block.splitlines()}) == 1, block
