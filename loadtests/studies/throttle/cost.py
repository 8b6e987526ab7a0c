"""What a limit costs where nobody is throttled: the async twin, saturated, with one and without, in pairs."""

from collections.abc import Mapping
from typing import Any

from typing_extensions import TypedDict

from loadtests.analysis.results import Trial
from loadtests.load.subjects import ASYNC
from loadtests.studies.study import Setup
from loadtests.trial import plan
from loadtests.trial.trial import run_trial

PROFILE = "saturated"
FREE, LIMITED = "without a limit", "limited"
CASES: Mapping[str, Mapping[str, Any]] = {FREE: {}, LIMITED: {"rate_limit": 1e6, "rate_burst": 100_000}}
"""Settings: a rate that is never reached."""
PAIRS_OF_EACH = 4
"""For one of the other parts: what is looked for is a hundredth, not a factor."""


class Pair(TypedDict):
    free: Trial
    limited: Trial


def cost(setup: Setup, profile: str = PROFILE) -> list[Pair]:
    """Pairs in drawn order. Raises StackError and TrialFailed."""
    options, found = setup.options, dict[str, dict[int, Trial]]()
    pairs = PAIRS_OF_EACH * options.pairs
    for turn in plan.turns(plan.Part(profile, pairs), list(CASES), options.seed):
        setup.display.step(f"cost: pair {turn.pair} of {pairs}, {turn.twin}")
        with setup.stack(**CASES[turn.twin]) as stack:
            trial = run_trial(stack, turn._replace(twin=ASYNC), options.seed, setup.display.load)
        found.setdefault(turn.twin, {})[turn.pair] = trial
    return [{"free": found[FREE][each], "limited": found[LIMITED][each]} for each in found[FREE]]
