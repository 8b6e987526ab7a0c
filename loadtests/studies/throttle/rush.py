"""Very many new issues of one service at once, against a budget that is far smaller."""

from collections.abc import Sequence
from functools import partial

from typing_extensions import TypedDict

from loadtests.analysis.results import Turn
from loadtests.load.outcomes import MAYBE_RECORDED
from loadtests.load.profiles import all_at_once
from loadtests.load.progress import Show
from loadtests.load.subjects import ASYNC, TWINS
from loadtests.stack import Stack
from loadtests.studies.endurance.outage import states
from loadtests.studies.study import Setup, emptied
from loadtests.studies.throttle.limited import Audit, audit, start
from loadtests.studies.throttle.script import Script, Step
from loadtests.trial import plan
from loadtests.trial.driver import Driver
from shared.fingerprint import DEFAULT_SERVICE
from shared.quota import overflow

USERS, BUDGET, PROCESSES = 10_000, 100, 4
AWAY = 3.0
"""Seconds that a store is away."""
KILLED = (("redis",), ("redis", "mysql"))


class Rush(TypedDict):
    pair: int
    order: int
    twin: str
    killed: list[str]
    """Stores that were, in the middle of it."""
    users: int
    budget: int
    processes: int
    acknowledged: int
    """Users who were answered with success."""
    folded: int
    """Of them, those who were told so."""
    failed: dict[str, int]
    in_doubt: int
    """Of `failed`, those whose event may have been kept."""
    seconds: float | None
    """Until the last of those who were answered with success was."""
    p95_ms: float | None
    """From the moment at which all came, the wait for a turn included."""
    generator_share: float | None
    """Of its core."""
    states: list[str]
    """Of the ingest of any process, as their log tells them."""
    audit: Audit


def rush(setup: Setup, users: int = USERS, twins: Sequence[str] = TWINS) -> list[Rush]:
    """Trials of each twin, in drawn order. Raises StackError and TrialFailed."""
    options = setup.options
    turns = plan.turns(plan.Part("rush", options.pairs), twins, options.seed)
    with setup.stack(workers=PROCESSES) as stack:
        return [_rush(setup, stack, users, turn) for turn in turns]


def killed(setup: Setup, users: int, stores: Sequence[Sequence[str]] = KILLED) -> list[Rush]:
    """The async twin, whose stores are killed in the middle and started again. Raises as `rush`."""
    with setup.stack(workers=PROCESSES) as stack:
        return [
            _rush(setup, stack, users, Turn("rush", 1, order, ASYNC), each)
            for order, each in enumerate(stores, 1)
        ]


def _rush(setup: Setup, stack: Stack, users: int, turn: Turn, stores: Sequence[str] = ()) -> Rush:
    setup.display.step(f"rush: {', '.join([turn.twin, *(f'{each} killed' for each in stores)])}")
    emptied(stack).dispose()
    log = stack.log_path(ASYNC)
    before = log.stat().st_size if log.exists() else 0
    start(stack, turn.twin, new_issues=BUDGET)
    try:
        script = _script(stack, stores, setup.display.load)
        driver = Driver(stack, stack.base_url(turn.twin), setup.options.seed, script)
        driver.run(all_at_once(users))
        told = states(stack, before) if turn.twin == ASYNC else []
        script.finish()
        found = audit(stack, turn.twin, driver, spooled="mysql" in stores)
    finally:
        stack.stop_twin(turn.twin)
    (level,) = driver.levels
    due = level["due_latency_ms"] or {}
    last = due.get("max")
    return {
        "pair": turn.pair,
        "order": turn.order,
        "twin": turn.twin,
        "killed": list(stores),
        "users": users,
        "budget": BUDGET,
        "processes": PROCESSES,
        "acknowledged": driver.acknowledged.total(),
        "folded": driver.acknowledged[overflow(DEFAULT_SERVICE).fingerprint],
        "failed": dict(driver.failed),
        "in_doubt": sum(driver.failed[each] for each in MAYBE_RECORDED),
        "seconds": last / 1000 if last else None,
        "p95_ms": due.get("p95"),
        "generator_share": level["generator"]["cpu_share"],
        "states": told,
        "audit": found,
    }


def _script(stack: Stack, stores: Sequence[str], show: Show) -> Script:
    """From the first second on in which anybody was answered."""
    steps = [
        *(Step(0, f"{store} killed", partial(stack.kill, store)) for store in stores),
        *(Step(AWAY, f"{store} started again", partial(stack.start, store)) for store in stores),
    ]
    return Script(lambda progress: progress["rate"] > 0, steps, show)
