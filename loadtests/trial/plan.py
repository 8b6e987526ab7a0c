"""What a run consists of: its profiles, the pairs of each, and in which order the twins have their turn."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from loadtests.analysis.pairs import FLOORS
from loadtests.analysis.results import Turn
from loadtests.load.profiles import BENCHED, PROFILES, PlannedLevel, Profile
from loadtests.load.workload import stream

KNEE = "knee"
FULL = "full"
PAIRS = {name: profile.pairs for name, profile in BENCHED.items()} | {FULL: 12}
"""Trials of each twin, by what is asked for; of a full run, those of its ramp."""
FLOOR_SECONDS = 60.0
"""Of a floor's level at most: a handler that does nothing is the same for half an hour."""
KNEE_SECONDS = 165.0
KNEE_FLOOR_SECONDS = 80.0
OVERHEAD = 8.0
"""Besides its load, of a trial; like the two above, a first guess of the time left."""


class Part(NamedTuple):
    """One profile of a run."""

    profile: str
    pairs: int
    block: int = 1
    """Pairs whose trials are drawn together."""


def parts(name: str, pairs: int) -> list[Part]:
    """Return what the profile `name` of the bench consists of."""
    if name == FULL:
        # Two trials of each twin in a block: each twin can be compared with itself, too.
        return [Part("ramp", pairs, block=2), Part(KNEE, PAIRS[KNEE]), Part("spike", PAIRS["spike"])]
    return [Part(name, pairs)]


def turns(part: Part, twins: Sequence[str], seed: int) -> list[Turn]:
    """Return the trials in their order, drawn by the seed: what drifts slowly hits all twins alike.

    In a block, the first trial of each twin belongs to its first pair, the second one to its second.
    """
    random, found = stream(seed, "order", part.profile), []
    for first in range(1, part.pairs + 1, part.block):
        pairs = min(part.block, part.pairs + 1 - first)
        seen: Counter[str] = Counter()
        block = [*twins] * pairs
        for order, twin in enumerate(random.sample(block, len(block)), 1):
            found.append(Turn(part.profile, first + seen[twin], order, twin))
            seen[twin] += 1
    return found


def floor_profile(name: str) -> Profile:
    """Return the profile that the handler that does nothing is loaded with, once for all pairs.

    So each level is long enough for a p95, but of a profile that is too short for that anyway.
    """
    profile = PROFILES[name]
    if name == "smoke":
        return profile
    return profile.with_level_seconds(
        [_floor_seconds(level, profile.think_seconds) for level in profile.levels]
    )


def _floor_seconds(level: PlannedLevel, think_seconds: float) -> float:
    enough = level.start_up_seconds + 1.1 * FLOORS["p95"] * think_seconds / level.users
    return min(max(level.seconds, enough), FLOOR_SECONDS)


def planned_seconds(plan: Sequence[Part], twins: int) -> float:
    return sum(_planned_seconds(part, twins) for part in plan)


def _planned_seconds(part: Part, twins: int) -> float:
    if part.profile == KNEE:
        return KNEE_FLOOR_SECONDS + twins * part.pairs * KNEE_SECONDS
    floor, trial = floor_profile(part.profile).seconds, PROFILES[part.profile].seconds
    return floor + OVERHEAD + twins * part.pairs * (trial + OVERHEAD)
