"""The few figures that the page begins with."""

from typing import NamedTuple

from loadtests.analysis.results import Comparison, Ratio, Results
from loadtests.analysis.summary import LevelId, counted, ends, to_look_at
from loadtests.report.numbers import FEW, factor
from loadtests.report.verdict import headline, spread


class Fact(NamedTuple):
    name: str
    value: str
    about: str


def facts(results: Results) -> list[Fact]:
    trials = results["trials"]
    valid = sum(trial["valid"] for trial in trials)
    found = [Fact("valid trials", f"{valid} of {len(trials)}", f"{results['environment']['cores']} cores")]
    last = headline(results)
    if last and last["p95_ratio"]:
        found.insert(0, _ratio(f"p95 ratio, {last['level']}", last["p95_ratio"]))
    elif last and (p95s := _to_look_at(results, last)):
        found.insert(0, Fact(f"p95 ratio, {last['level']}", factor(p95s[0] / p95s[1]), FEW))
    found += [
        _ratio("ratio of the knees", each["knee_ratio"])
        for each in results["capacity"]
        if tuple(each["twins"]) == ends(results)
    ]
    found += [
        Fact(f"lost by {each.twin}", f"{each.lost:,}", f"of {each.acknowledged:,} acknowledged events")
        for each in counted(results)
    ]
    return found


def _to_look_at(results: Results, last: Comparison) -> tuple[float, float] | None:
    level_id = LevelId(last["profile"], last["level"])
    first, second = (to_look_at(results, twin, level_id, "p95") for twin in last["twins"])
    return (first, second) if first and second else None


def _ratio(name: str, ratio: Ratio) -> Fact:
    return Fact(name, factor(ratio["median"]), spread(ratio))
