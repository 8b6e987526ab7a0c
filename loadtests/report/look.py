"""What a smoke run shows: that everything works, and figures for a look, which are never published."""

from statistics import median

from loadtests.analysis.results import Results
from loadtests.analysis.summary import LevelId, levels_of
from loadtests.report.verdict import losses

SMOKE = "smoke"
ONLY = "few requests, for a look only"


def p95(results: Results, twin: str, level: LevelId) -> float | None:
    """Return the median of the exact p95s of the valid levels, however few requests they had."""
    found = [each["latency_ms"]["p95"] for each in levels_of(results, twin, level)]
    return median([each for each in found if each is not None] or [0.0]) or None


def verdict(results: Results) -> str:
    """Return what a smoke run is about: whether everything ran, and what the audits found."""
    trials = results["trials"]
    invalid = sum(not all([each["valid"], *(level["valid"] for level in each["levels"])]) for each in trials)
    timing = (
        f"The timing of {invalid} of {len(trials)} trials is invalid, for the reasons below."
        if invalid
        else ""
    )
    ran = [f"Missing: {each}." for each in results.get("missing", [])] or ["Everything ran."]
    return " ".join(filter(None, [*ran, losses(results), timing]))
