"""The result in words, whichever way it went."""

from loadtests.analysis.results import Comparison, Ratio, Results
from loadtests.analysis.summary import LevelId, ends, knee, level_percentile, measured
from loadtests.report.numbers import factor, milliseconds


def spread(ratio: Ratio) -> str:
    """Return what low and high of a ratio are worth, in words."""
    number = f"{ratio['pairs']} pair{'s' * (ratio['pairs'] != 1)}"
    low, high = factor(ratio["low"]), factor(ratio["high"])
    if ratio["confidence"] is None:
        return f"{low} to {high}; {number}, too few for an interval"
    return f"{ratio['confidence']:.0%} interval {low} to {high}; {number}"


def headline(results: Results) -> Comparison | None:
    """Return the result's heaviest level of the first profile; None where nothing is left to compare."""
    ours = [each for each in results["comparison"] if tuple(each["twins"]) == ends(results)]
    first = [each for each in ours if each["profile"] == ours[0]["profile"]]
    return max(first, key=lambda each: (each["offered_rps"] or 0.0, each["users"]), default=None)


def verdict(results: Results) -> str:
    """Return the result in a few sentences, whichever way it went."""
    return " ".join(sentences(results))


def sentences(results: Results) -> list[str]:
    """Return the same one by one, the most important first."""
    missing = [f"Missing: {each}." for each in results.get("missing", [])]
    return [each for each in [*_found(results), *missing] if each]


def _found(results: Results) -> list[str]:
    found = [_latency(results), _capacity(results)]
    if not any(found):
        return ["Nothing valid to compare: each trial or level has its reason below.", _losses(results)]
    return [*found, _losses(results), _left_out(results)]


def _latency(results: Results) -> str:
    last, twins = headline(results), ends(results)
    if last is None or twins is None:
        return ""
    ratio, level_id = last["p95_ratio"], LevelId(last["profile"], last["level"])
    p95s = [level_percentile(results, twin, level_id, "p95") for twin in twins]
    if ratio is None or None in p95s:
        return f"{last['level']}: too few requests for a p95."
    slow, fast = (milliseconds(p95 or 0.0) for p95 in p95s)
    same = ": by this measure the two are indistinguishable" if last["indistinguishable"] else ""
    return (
        f"At {last['level']} p95 is {slow} ms with {twins[0]} and {fast} ms with {twins[1]}: "
        f"{factor(ratio['median'])} times as long ({spread(ratio)}){same}."
    )


def _capacity(results: Results) -> str:
    twins = ends(results)
    found = (each["knee_ratio"] for each in results["capacity"] if tuple(each["twins"]) == twins)
    ratio = next(found, None)
    if ratio is None or twins is None:
        return ""
    low, high = (knee(results, twin) or 0.0 for twin in twins)
    return (
        f"{twins[0]} keeps up with {low:,.0f} requests/s, {twins[1]} with {high:,.0f}: "
        f"{factor(ratio['median'])} times as many ({spread(ratio)})."
    )


def _losses(results: Results) -> str:
    lost = [_lost(results, twin) for twin in measured(results)]
    return f"Of the acknowledged events {' and '.join(lost)}." if lost else ""


def _left_out(results: Results) -> str:
    trials = results["trials"]
    invalid = sum(not trial["valid"] for trial in trials)
    return f"{invalid} of {len(trials)} trials were invalid and are not compared." if invalid else ""


def _lost(results: Results, twin: str) -> str:
    counts = [trial["reconcile"] for trial in results["trials"] if trial["twin"] == twin]
    lost, acknowledged = (sum(count[key] for count in counts) for key in ("lost", "acknowledged"))
    return f"{twin} lost {lost:,} of {acknowledged:,}"
