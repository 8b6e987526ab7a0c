"""Three services, one of which is noisy for a while: what the other two notice, with a limit and without."""

from typing import NamedTuple

from typing_extensions import TypedDict

from loadtests.analysis.results import Machine, Turn
from loadtests.load.measured import Level, Timeline
from loadtests.load.profiles import NOISY, Profile
from loadtests.load.subjects import TWINS
from loadtests.stack import Stack
from loadtests.studies.study import Setup, emptied
from loadtests.studies.throttle.limited import Audit, audit, start
from loadtests.trial import plan
from loadtests.trial.driver import Driver
from loadtests.trial.observation import Observation, roles
from loadtests.trial.validity import trial_reasons

LIMIT, BURST = 40.0, 40
"""Events a second of each service, and at once: twice what is usual, a tenth of what the noisy one sends."""


class Case(NamedTuple):
    twin: str
    is_limited: bool


CASES = {
    f"{twin}, {words}": Case(twin, is_limited)
    for twin in TWINS
    for words, is_limited in (("limited", True), ("without a limit", False))
}


class Service(TypedDict):
    levels: list[Level]
    timeline: Timeline


class Trial(TypedDict):
    pair: int
    order: int
    case: str
    services: dict[str, Service]
    audit: Audit
    machine: Machine
    valid: bool
    invalid_reasons: list[str]


def noisy(setup: Setup, profile: Profile = NOISY) -> list[Trial]:
    """Trials of each case, in drawn order. Raises StackError and TrialFailed."""
    options = setup.options
    turns = plan.turns(plan.Part(profile.name, options.pairs), list(CASES), options.seed)
    with setup.stack() as stack:
        return [_trial(setup, stack, profile, turn) for turn in turns]


def _trial(setup: Setup, stack: Stack, profile: Profile, turn: Turn) -> Trial:
    twin, is_limited = CASES[turn.twin]
    setup.display.step(f"noisy: pair {turn.pair} of {setup.options.pairs}, {turn.twin}")
    emptied(stack).dispose()
    start(stack, twin, **({"rate_limit": LIMIT, "rate_burst": BURST} if is_limited else {}))
    try:
        driver = Driver(stack, stack.base_url(twin), setup.options.seed, setup.display.load)
        observed = Observation(stack, roles(twin))
        driver.run(profile)
        found = audit(stack, twin, driver)
        observed.end()
    finally:
        stack.stop_twin(twin)
    reasons = trial_reasons(twin, found["total"], observed.machine)
    reasons += [f"{each['name']}: {why}" for each in driver.levels for why in each["invalid_reasons"]]
    return {
        "pair": turn.pair,
        "order": turn.order,
        "case": turn.twin,
        "services": {
            name: {"levels": each["levels"], "timeline": each["timeline"]}
            for name, each in driver.services.items()
        },
        "audit": found,
        "machine": observed.machine,
        "valid": not reasons,
        "invalid_reasons": reasons,
    }
