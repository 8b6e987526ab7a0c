"""A smoke run tells that everything works, and shows figures that are for a look only."""

import re
from io import StringIO

from rich.console import Console

from loadtests.analysis.results import Results
from loadtests.report.terminal import show_results
from tests.samples import results, trial


def smoke(p95s: tuple[float, float] = (30.0, 10.0), lost: int = 0) -> Results:
    """With so few requests that a published p95 is a dash."""
    trials = [
        trial(1, "naive_sync", p95=p95s[0], lost=lost, profile="smoke"),
        trial(1, "async_dedup", p95=p95s[1], profile="smoke"),
    ]
    for each in trials:
        each["levels"][0]["acknowledged"] = 120
    return results(trials) | {"profile": "smoke"}


def shown(found: Results) -> str:
    console = Console(file=StringIO(), width=200)
    show_results(console, found)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_a_quiet_machine_shows_figures_that_say_what_they_are() -> None:
    text = shown(smoke())
    assert re.search(r"10 users +naive_sync +\(30\.0\)", text)
    assert re.search(r"async_dedup +\(10\.0\) +\(3\.00\)", text)
    assert "few requests, for a look only" in text


def test_a_busy_machine_shows_that_it_works_and_what_was_lost() -> None:
    found = smoke(lost=3)
    for each in found["trials"]:
        each["valid"], each["invalid_reasons"] = False, ["30% of the CPU time went to other work"]
    text = shown(found)
    assert "Everything ran." in text
    assert "Of the acknowledged events naive_sync lost 3 of 1,000" in text
    assert "async_dedup lost 0 of 1,000" in text
    assert "The timing of 2 of 2 trials is invalid" in text
    assert "Nothing valid" not in text
    assert re.search(r"10 users +naive_sync +- ", text)


def test_a_run_that_counts_shows_no_figure_of_few_requests() -> None:
    found = smoke()
    found["profile"] = "ramp"
    for each in found["trials"]:
        each["profile"] = "ramp"
    for level in [*found["trials"][0]["levels"], *found["trials"][1]["levels"], *found["floor"]]:
        level["profile"] = "ramp"
    assert re.search(r"10 users +naive_sync +- ", shown(found))
    assert "for a look" not in shown(found)
