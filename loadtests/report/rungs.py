"""What the rungs of the ladder bought, in words: the README and docs/ladder.md say it alike."""

from itertools import pairwise
from math import log

from loadtests.analysis.pairs import compare
from loadtests.analysis.results import Results
from loadtests.analysis.summary import LevelId, level_ids, profiles
from loadtests.load.subjects import RUNGS


def heaviest(results: Results) -> LevelId:
    """Return the last level of the run's first profile."""
    return level_ids(results, profiles(results)[0])[-1]


def gains(results: Results) -> dict[str, float]:
    """Return by rung the p95 of the rung before over its own, at the heaviest level.

    Empty where a rung has no valid p95: then none can be said to have bought most.
    """
    level = heaviest(results)
    steps = pairwise(RUNGS)
    found = {
        (one, two): each["p95_ratio"]["median"]
        for each in compare(results["trials"])
        if (each["profile"], each["level"]) == level and each["p95_ratio"]
        for one, two in (each["twins"],)
    }
    known = {rung: found[before, rung] for before, rung in steps if (before, rung) in found}
    return known if len(known) == len(RUNGS) - 1 else {}


def best_of(gained: dict[str, float]) -> tuple[str, bool]:
    """Return the rung that bought most, and whether that was most of all that was bought.

    Factors add up as logarithms.
    """
    best = max(gained, key=gained.__getitem__)
    total = sum(map(log, gained.values()))
    return best, total > 0 and log(gained[best]) > total / 2


def faster(ratio: float) -> str:
    """Return in words what it means that something took `ratio` times as long before."""
    word, times = ("faster", ratio) if ratio >= 1 else ("slower", 1 / ratio)
    return f"about {times:,.{0 if times >= 10 else 1}f} times {word}"
