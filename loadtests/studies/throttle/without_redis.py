"""The noisy service, and two nodes of the API: Redis is killed, then they can't reach each other either."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from typing import NamedTuple

from typing_extensions import TypedDict

from async_dedup.modes import CYCLE
from loadtests.load.profiles import NOISY, NOISY_ONE, Profile
from loadtests.load.subjects import ASYNC
from loadtests.stack import ROLES_OF, Stack
from loadtests.stack.nodes import NODES, Nodes, two_nodes
from loadtests.stack.proxy import WELL, Trouble
from loadtests.stack.roles import SECOND
from loadtests.studies.study import Setup, emptied
from loadtests.studies.throttle.limited import Audit, audit
from loadtests.studies.throttle.noisy import BURST, LIMIT, Service
from loadtests.studies.throttle.script import Script, Step, modes
from loadtests.trial.driver import Driver
from shared.settings import variables

PROFILE = NOISY.with_level_seconds([10, 60, 15])
FLOOD = "level 2 of 3"


class Times(NamedTuple):
    """Seconds after the begin of the flood."""

    killed: float = 10
    cut: float = 22
    mended: float = 34
    back: float = 46


class Period(TypedDict):
    """Of the flood, from a step to the next."""

    name: str
    seconds: float
    let_through: int
    """Events of the noisy service."""
    modes: list[str]
    """In which a node was in it, in their order."""
    until_mode: float | None
    """Seconds until the last node was in the last of them; None where none has changed its mode."""


class Found(TypedDict):
    limit: float
    burst: int
    cycle: float
    nodes: int
    periods: list[Period]
    away_seconds: float
    """Without Redis."""
    away_let_through: int
    overshoot: float
    """Events of the noisy service by which the most that was let through in any stretch of time is above
    limit * time + burst."""
    services: dict[str, Service]
    audit: Audit


TIMES = Times()


def noisy(setup: Setup, profile: Profile = PROFILE, times: Times = TIMES) -> Found:
    """Raises StackError and TrialFailed."""
    with setup.stack() as stack:
        setup.display.step("noisy: two nodes, Redis killed")
        emptied(stack).dispose()
        with ExitStack() as nodes:
            between_them = nodes.enter_context(_running(stack))
            script = Script(
                lambda progress: progress["level"] == FLOOD,
                _steps(stack, between_them, times),
                setup.display.load,
            )
            seen = nodes.enter_context(modes({node: stack.address(node) for node in NODES}))
            urls = ",".join(stack.base_url(node) for node in NODES)
            driver = Driver(stack, urls, setup.options.seed, script)
            driver.run(profile)
            script.finish()
            found = audit(stack, ASYNC, driver)
    (_, begin, end) = profile.phases[1]
    let_through = driver.services[NOISY_ONE]["let_through"]
    steps = [("flood", begin), *((name, at - driver.began_at) for name, at in script.done), ("end", end)]
    changes = [(each.at - driver.began_at, each.mode) for each in seen]
    (_, killed), (_, back) = steps[1], steps[-2]
    return {
        "limit": LIMIT,
        "burst": BURST,
        "cycle": CYCLE,
        "nodes": len(NODES),
        "periods": [
            _period(name, at, until, let_through, changes) for (name, at), (_, until) in pairwise(steps)
        ],
        "away_seconds": back - killed,
        "away_let_through": between(let_through, killed, back),
        "overshoot": overshoot(let_through, LIMIT, BURST),
        "services": {
            name: {"levels": each["levels"], "timeline": each["timeline"]}
            for name, each in driver.services.items()
        },
        "audit": found,
    }


def _steps(stack: Stack, nodes: Nodes, times: Times) -> list[Step]:
    return [
        Step(times.killed, "Redis killed", lambda: stack.kill("redis")),
        Step(
            times.cut, "the nodes cut off from each other", lambda: nodes.trouble(Trouble(is_black_hole=True))
        ),
        Step(times.mended, "the nodes together again", lambda: nodes.trouble(WELL)),
        Step(times.back, "Redis started again", lambda: stack.start("redis")),
    ]


@contextmanager
def _running(stack: Stack) -> Iterator[Nodes]:
    with ExitStack() as end:
        nodes = end.enter_context(two_nodes(stack.settings))
        limits = variables(rate_limit=LIMIT, rate_burst=BURST)
        roles = (*NODES, *ROLES_OF[ASYNC][1:])
        end.callback(stack.stop_twin, ASYNC)
        end.callback(stack.stop, SECOND.name)
        stack.start(*roles, more={role: {**limits, **nodes.own.get(role, {})} for role in roles})
        yield nodes


def _period(
    name: str, at: float, until: float, let_through: Sequence[float], changes: Sequence[tuple[float, str]]
) -> Period:
    within = [(when, mode) for when, mode in changes if at <= when < until]
    before = [mode for when, mode in changes if when < at][-1:]
    return {
        "name": name,
        "seconds": until - at,
        "let_through": between(let_through, at, until),
        "modes": list(dict.fromkeys([*before, *(mode for _, mode in within)])),
        "until_mode": within[-1][0] - at if within else None,
    }


def between(times: Sequence[float], begin: float, end: float) -> int:
    """Return how many of `times`, which are in order, are between."""
    return bisect_left(times, end) - bisect_left(times, begin)


def overshoot(times: Sequence[float], rate: float, burst: int) -> float:
    """Return by how many the most that came in any stretch of time is above rate * time + burst.

    `times` are in seconds, and in order.
    """
    held = most = 0.0
    before = times[0] if times else 0.0
    for at in times:
        held = max(held - rate * (at - before), 0.0) + 1
        most, before = max(most, held), at
    return max(most - burst, 0.0)
