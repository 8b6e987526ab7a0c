"""The search for the highest rate that a twin keeps up with.

A search only asks: it yields the rate that it wants to know of next, and is sent the level that came of it.
Whoever drives it offers the rate.

Every twin is offered the same rates on the way up, so that latencies can be compared at equal rates. Then the
interval between the last rate that it kept up with and the first one that it did not is halved. What is found
has to hold once more.
"""

from collections.abc import Generator, Sequence
from math import inf, sqrt

from loadtests.analysis.overload import why_too_much
from loadtests.analysis.results import Knee
from loadtests.load.measured import Level
from loadtests.load.profiles import OF_KNEE
from loadtests.trial.validity import generator_reasons

RATES = tuple(50.0 * 2**doubled for doubled in range(9))
"""Requests per second: 50, 100, ... 12,800."""
PRECISION = 1.1
"""The rate that was too much, over the knee, at most."""
SHARES = (50, 75, 90)
"""Percent of the knee at which the latency is measured in the end."""
STEP_SECONDS = 5.0
STEP_REQUESTS = 700
"""Three trials have enough for a p95."""

Search = Generator[float, Level, Knee]
Tries = Generator[float, Level, tuple[Level, str | None]]


class GeneratorLimit(Exception):
    """The generator could not offer a rate; the message says why."""


def search() -> Search:
    """Find the knee, confirm it, and measure the latency at shares of it."""
    found = yield from climb()
    found = yield from confirm(found)
    for share in SHARES if found["rps"] else ():
        level = yield (found["rps"] or 0) * share / 100
        level["name"] = f"{share}{OF_KNEE}"
    return found


def climb(rates: Sequence[float] = RATES, precision: float = PRECISION) -> Search:
    """Climb the `rates`, then halve. No knee where the generator is the limit: it may be higher."""
    kept, too_much, limit = 0.0, inf, f"{rates[-1]:.0f}/s is the highest rate that is tried"
    try:
        while rate := _next(kept, too_much, rates, precision):
            _, why = yield from _try(rate)
            if why is None:
                kept = rate
            else:
                too_much, limit = rate, f"at {rate:.0f}/s {why}"
    except GeneratorLimit as error:
        return Knee(rps=None, limit=f"at {rate:.0f}/s {error}; {kept:.0f}/s was not too much")
    return Knee(rps=kept or None, limit=limit)


def confirm(found: Knee) -> Search:
    """Lower the knee until the twin keeps up with it again: of two rates the luckier one was taken."""
    rps, limit = found["rps"], found["limit"]
    try:
        while rps:
            level, why = yield from _try(rps, ", again")
            if why is None:
                level["name"] = f"100{OF_KNEE}"
                break
            limit = f"at {rps:.0f}/s, tried again, {why}"
            rps = rps / PRECISION if rps > RATES[0] else None
    except GeneratorLimit as error:
        return Knee(rps=None, limit=f"at {rps:.0f}/s, tried again, {error}")
    return Knee(rps=rps, limit=limit)


def _try(rate: float, note: str = "") -> Tries:
    """Return the level, and why its rate is too much; tried twice, for a hiccup of the machine is not."""
    level = yield rate
    level["name"] += note
    if not generator_reasons(level["generator"]) and why_too_much(level) is None:
        return level, None
    level["name"] += ", first try"
    level = yield rate
    level["name"] += note
    if reasons := generator_reasons(level["generator"]):
        raise GeneratorLimit("; ".join(reasons))
    return level, why_too_much(level)


def _next(kept: float, too_much: float, rates: Sequence[float], precision: float) -> float | None:
    if too_much == inf:
        return next((rate for rate in rates if rate > kept), None)
    return sqrt(kept * too_much) if kept and too_much / kept > precision else None


def step_seconds(rate: float) -> float:
    """Return how long a rate has to be measured."""
    return max(STEP_SECONDS, STEP_REQUESTS / rate)
