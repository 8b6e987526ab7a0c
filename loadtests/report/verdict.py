"""The result in words, whichever way it went."""

from loadtests.analysis.results import Comparison, Ratio, Results
from loadtests.analysis.summary import TWINS, LevelId, knee, percentile
from loadtests.report.markdown import factor


def spread(ratio: Ratio) -> str:
    """Return what low and high of a ratio are worth, in words."""
    number = f"{ratio['pairs']} pair{'s' * (ratio['pairs'] != 1)}"
    low, high = factor(ratio["low"]), factor(ratio["high"])
    if ratio["confidence"] is None:
        return f"smallest {low}, largest {high}; {number}: demo, no interval"
    return f"{ratio['confidence']:.0%} interval {low} to {high}; {number}"


def headline(results: Results) -> Comparison | None:
    """Return the twins' heaviest level of the first profile; None where nothing is left to compare."""
    ours = [each for each in results["comparison"] if each["twins"] == [*TWINS]]
    first = [each for each in ours if each["profile"] == ours[0]["profile"]]
    return max(first, key=lambda each: (each["offered_rps"] or 0.0, each["users"]), default=None)


def verdict(results: Results) -> str:
    """Return the result in a few sentences, whichever way it went."""
    missing = [f"Missing: {each}." for each in results.get("missing", [])]
    return " ".join(filter(None, [*_found(results), *missing]))


def _found(results: Results) -> list[str]:
    found = [_latency(results), _capacity(results)]
    if not any(found):
        return ["Nothing valid to compare: each trial or level has its reason below."]
    return [*found, _losses(results), _left_out(results)]


def _latency(results: Results) -> str:
    last = headline(results)
    if last is None:
        return ""
    ratio, level_id = last["p95_ratio"], LevelId(last["profile"], last["level"])
    naive, async_ = (percentile(results, twin, level_id, "p95") for twin in TWINS)
    if ratio is None or naive is None or async_ is None:
        return f"{last['level']}: too few requests for a p95."
    when = f"At {last['level']}" if last["offered_rps"] else f"With {last['level']}"
    same = ": by this measure the twins are indistinguishable" if last["indistinguishable"] else ""
    return (
        f"{when}, 95 of 100 requests were answered within {naive:,.1f} ms by naive_sync and within "
        f"{async_:,.1f} ms by async_dedup, a ratio of {factor(ratio['median'])} ({spread(ratio)}){same}."
    )


def _capacity(results: Results) -> str:
    ratio = next((each["knee_ratio"] for each in results["capacity"] if each["twins"] == [*TWINS]), None)
    if ratio is None:
        return ""
    naive, async_ = (knee(results, twin) or 0.0 for twin in TWINS)
    return (
        f"naive_sync kept up with {naive:,.0f} requests/s, async_dedup with {async_:,.0f}: "
        f"{factor(ratio['median'])} times as many ({spread(ratio)})."
    )


def _losses(results: Results) -> str:
    return f"Of what they had acknowledged, {' and '.join(_lost(results, twin) for twin in TWINS)}."


def _left_out(results: Results) -> str:
    trials = results["trials"]
    invalid = sum(not trial["valid"] for trial in trials)
    return f"{invalid} of {len(trials)} trials were invalid and are not compared." if invalid else ""


def _lost(results: Results, twin: str) -> str:
    counts = [trial["reconcile"] for trial in results["trials"] if trial["twin"] == twin]
    lost, acknowledged = (sum(count[key] for count in counts) for key in ("lost", "acknowledged"))
    return f"{twin} lost {lost:,} of {acknowledged:,} events"
