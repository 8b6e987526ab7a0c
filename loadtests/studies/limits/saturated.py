"""The async twin with more load than it can take, beside the handler that does nothing."""

from typing_extensions import TypedDict

from loadtests.analysis.results import Trial, Turn
from loadtests.load.measured import Level
from loadtests.studies.study import Setup
from loadtests.trial import plan
from loadtests.trial.trial import run_floor, run_trial

TWIN = "async_dedup"


class Saturation(TypedDict):
    """A floor's level and a trial of each pair."""

    floor: list[Level]
    trials: list[Trial]


def saturation(setup: Setup, profile: str = "saturated") -> Saturation:
    """Pairs of floor and twin, back to back, in drawn order."""
    found: Saturation = {"floor": [], "trials": []}
    options, display = setup.options, setup.display
    with setup.stack() as stack:
        for turn in plan.turns(plan.Part(profile, options.pairs), ("floor", TWIN), options.seed):
            display.step(f"{profile}: pair {turn.pair} of {options.pairs}, {turn.twin}")
            if turn.twin == "floor":
                found["floor"] += run_floor(stack, profile, options.seed, display.load)[0]
            else:
                found["trials"].append(run_trial(stack, turn, options.seed, display.load))
    return found


def crowd(setup: Setup) -> list[Trial]:
    """200 and 500 users who think, as many trials as there are pairs."""
    return _trials(setup, "crowd", setup.options.pairs)


def minute(setup: Setup) -> list[Trial]:
    """One trial of a minute."""
    return _trials(setup, "minute", 1)


def _trials(setup: Setup, profile: str, number: int) -> list[Trial]:
    trials = []
    with setup.stack() as stack:
        for each in range(1, number + 1):
            setup.display.step(f"{profile}: trial {each} of {number}")
            turn = Turn(profile, each, 1, TWIN)
            trials.append(run_trial(stack, turn, setup.options.seed, setup.display.load))
    return trials
