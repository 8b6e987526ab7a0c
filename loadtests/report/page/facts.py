"""The few figures that the page begins with."""

from typing import NamedTuple

from loadtests.analysis.results import Ratio, Results
from loadtests.analysis.summary import counted
from loadtests.report.numbers import factor
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
    found += [_ratio("ratio of the knees", each["knee_ratio"]) for each in results["capacity"][:1]]
    found += [
        Fact(f"lost by {each.twin}", f"{each.lost:,}", f"of {each.acknowledged:,} acknowledged events")
        for each in counted(results)
    ]
    return found


def _ratio(name: str, ratio: Ratio) -> Fact:
    return Fact(name, factor(ratio["median"]), spread(ratio))
