"""What is computed pair by pair: how the twins differ, and how each one differs from itself."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from math import inf

from loadtests.analysis.overload import why_too_much
from loadtests.analysis.results import Capacity, Comparison, Control, Ratio, Trial
from loadtests.analysis.stats import band, indistinguishable, ratio
from loadtests.load.measured import Level
from loadtests.load.subjects import compared, in_order

FLOORS = {"p95": 2_000, "p99": 10_000}
"""Requests that a percentile of a twin's level must be made of, over all trials, to be published."""

LevelPair = tuple[Level, Level]
TrialPair = tuple[Trial, Trial]


def compare(trials: Sequence[Trial]) -> list[Comparison]:
    """Compare level by level, over the pairs in which both trials and both levels are valid.

    The first one's latency over the second one's, of all two that `compared` names.

    In the open model a level counts where both twins kept up with its rate in every pair.
    """
    noise = {(each["profile"], each["level"], each["twin"]): each for each in control(trials)}
    found: list[Comparison] = []
    for first, second in compared(_names(trials)):
        for (profile, name), levels in _by_level(_pairs(trials, first, second)).items():
            controls = [noise[key] for twin in (first, second) if (key := (profile, name, twin)) in noise]
            p95, p99 = (_ratio(levels, percentile) for percentile in FLOORS)
            p95_band = max((m for each in controls if (m := each["p95_band"])), default=None)
            p99_band = max((m for each in controls if (m := each["p99_band"])), default=None)
            found.append(
                {
                    "profile": profile,
                    "level": name,
                    "users": levels[0][0]["users"],
                    "offered_rps": levels[0][0]["offered_rps"],
                    "twins": [first, second],
                    "p95_ratio": p95,
                    "p99_ratio": p99,
                    "p95_band": p95_band,
                    "p99_band": p99_band,
                    "indistinguishable": indistinguishable(p95, p95_band),
                    "p99_indistinguishable": indistinguishable(p99, p99_band),
                }
            )
    return found


def control(trials: Sequence[Trial]) -> list[Control]:
    """Compare each twin with itself: its trials of two pairs that follow each other, a block."""
    found: list[Control] = []
    for twin in in_order(_names(trials)):
        for (profile, name), levels in _by_level(_blocks(trials, twin)).items():
            p95, p99 = (_ratio(levels, percentile) for percentile in FLOORS)
            found.append(
                {
                    "profile": profile,
                    "level": name,
                    "users": levels[0][0]["users"],
                    "twin": twin,
                    "p95_ratio": p95,
                    "p99_ratio": p99,
                    "p95_band": p95 and band(_ratios(levels, "p95")),
                    "p99_band": p99 and band(_ratios(levels, "p99")),
                }
            )
    return found


def capacity(trials: Sequence[Trial]) -> list[Capacity]:
    """Compare the knees of every two twins; a pair in which one of them has none is left out."""
    found: list[Capacity] = []
    for first, second in compared(_names(trials)):
        knees = [(_knee(left), _knee(right)) for left, right in _pairs(trials, first, second)]
        if ratios := [right / left for left, right in knees if left and right]:
            result = ratio(ratios)
            found.append(
                {
                    "twins": [first, second],
                    "knee_ratio": result,
                    "indistinguishable": indistinguishable(result),
                }
            )
    return found


def _names(trials: Sequence[Trial]) -> set[str]:
    return {trial["twin"] for trial in trials}


def _pairs(trials: Sequence[Trial], first: str, second: str) -> list[TrialPair]:
    return _matched(
        {(each["profile"], each["pair"]): each for each in trials if each["twin"] == first},
        {(each["profile"], each["pair"]): each for each in trials if each["twin"] == second},
    )


def _blocks(trials: Sequence[Trial], twin: str) -> list[TrialPair]:
    own = {(each["profile"], each["pair"]): each for each in trials if each["twin"] == twin}
    return _matched(
        {key: each for key, each in own.items() if each["pair"] % 2},
        {(profile, pair - 1): each for (profile, pair), each in own.items() if not pair % 2},
    )


def _matched(lefts: dict[tuple[str, int], Trial], rights: dict[tuple[str, int], Trial]) -> list[TrialPair]:
    both = [(left, rights[key]) for key, left in lefts.items() if key in rights]
    return [(left, right) for left, right in both if left["valid"] and right["valid"]]


def _by_level(pairs: Sequence[TrialPair]) -> dict[tuple[str, str], list[LevelPair]]:
    """Return the levels that can be compared, by profile and name, as they ran, rates ascending."""
    found: dict[tuple[str, str], list[LevelPair]] = defaultdict(list)
    for left, right in pairs:
        others = {(each["name"], each["offered_rps"]): each for each in comparable(right)}
        for level in comparable(left):
            if other := others.get((level["name"], level["offered_rps"])):
                found[level["profile"], level["name"]].append((level, other))
    # To leave out only the pairs in which a rate was too much would keep the good luck and drop the bad.
    limit = too_much(trial for pair in pairs for trial in pair)
    rates = {key: levels[0][0]["offered_rps"] or 0.0 for key, levels in found.items()}
    return {key: found[key] for key in sorted(found, key=rates.__getitem__) if rates[key] < limit}


def comparable(trial: Trial) -> Iterator[Level]:
    """Yield a trial's valid levels, without shares of its own knee: they are at rates of their own."""
    for level in trial["levels"]:
        if level["valid"] and (trial["knee"] is None or level["name"].endswith("/s")):
            yield level


def too_much(trials: Iterable[Trial]) -> float:
    """Return the lowest rate that was too much in any of the trials; infinity where none was."""
    levels = (level for trial in trials if trial["knee"] for level in comparable(trial))
    return min((level["offered_rps"] or 0.0 for level in levels if why_too_much(level)), default=inf)


def _knee(trial: Trial) -> float | None:
    return trial["knee"]["rps"] if trial["knee"] else None


def _ratio(levels: Sequence[LevelPair], percentile: str) -> Ratio | None:
    for side in zip(*levels, strict=True):
        if sum(each["acknowledged"] for each in side) < FLOORS[percentile]:
            return None
    ratios = _ratios(levels, percentile)
    return ratio(ratios) if ratios else None


def _ratios(levels: Sequence[LevelPair], percentile: str) -> list[float]:
    values = [(latency(left, percentile), latency(right, percentile)) for left, right in levels]
    return [over / under for over, under in values if over and under]


def latency(level: Level, percentile: str) -> float | None:
    """Return the level's latency in milliseconds; in the open model from when each request was due."""
    return (level["due_latency_ms"] or level["latency_ms"])[percentile]
