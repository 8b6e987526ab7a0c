"""The result in words, whichever way it went."""

from loadtests.analysis.results import Comparison, Ratio, Results
from loadtests.analysis.summary import (
    LevelId,
    broken_promises,
    counted,
    ends,
    is_smoke,
    knee,
    level_percentile,
    to_look_at,
)
from loadtests.report.numbers import FEW, factor, milliseconds


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


def alarm(results: Results) -> str:
    """Return the sentence that comes before every other where a promised count is wrong; "" where none is."""
    wrong = [
        f"{each.twin} lost {each.lost:,} and doubled {each.extra:,} of {each.acknowledged:,}"
        for each in broken_promises(results)
    ]
    return f"COUNTS ARE WRONG: {'; '.join(wrong)} acknowledged events." if wrong else ""


def verdict(results: Results) -> str:
    """Return the result in a few sentences, whichever way it went."""
    return " ".join(sentences(results))


def sentences(results: Results) -> list[str]:
    """Return the same one by one, the most important first."""
    return [each for each in [alarm(results), *_findings(results)] if each]


def findings(results: Results) -> str:
    """Return the verdict without its alarm, for an output that shows that one by itself."""
    return " ".join(_findings(results))


def _findings(results: Results) -> list[str]:
    missing = [f"Missing: {each}." for each in results.get("missing", [])]
    return [each for each in [*_found(results), *missing] if each]


def _found(results: Results) -> list[str]:
    if is_smoke(results):  # is about whether everything works, whatever its timing is worth
        ran = "" if results.get("missing") else "Everything ran."
        return [ran, _latency(results), _losses(results), _timing(results)]
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
        return _to_look_at(results, twins, level_id)
    slow, fast = (milliseconds(p95 or 0.0) for p95 in p95s)
    same = ": by this measure the two are indistinguishable" if last["indistinguishable"] else ""
    return (
        f"At {last['level']} p95 is {slow} ms with {twins[0]} and {fast} ms with {twins[1]}: "
        f"{factor(ratio['median'])} times as long ({spread(ratio)}){same}."
    )


def _to_look_at(results: Results, twins: tuple[str, str], level_id: LevelId) -> str:
    slow, fast = (to_look_at(results, twin, level_id, "p95") for twin in twins)
    if slow is None or fast is None:
        return f"{level_id.name}: too few requests for a p95."
    p95s = f"{milliseconds(slow)} ms with {twins[0]} and {milliseconds(fast)} ms with {twins[1]}"
    return f"At {level_id.name} p95 is {p95s}: {FEW}."


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
    lost = [f"{each.twin} lost {each.lost:,} of {each.acknowledged:,}" for each in counted(results)]
    *most, last = lost or [""]
    return (
        f"Of the acknowledged events {' and '.join(filter(None, [', '.join(most), last]))}." if last else ""
    )


def _timing(results: Results) -> str:
    trials = results["trials"]
    valid = sum(each["valid"] and all(level["valid"] for level in each["levels"]) for each in trials)
    invalid = len(trials) - valid
    return f"The timing of {invalid} of {len(trials)} trials is invalid: see below." if invalid else ""


def _left_out(results: Results) -> str:
    trials = results["trials"]
    invalid = sum(not trial["valid"] for trial in trials)
    return f"{invalid} of {len(trials)} trials were invalid and are not compared." if invalid else ""
