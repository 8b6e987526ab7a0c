"""The search for the highest rate that a twin keeps up with.

Every twin is offered the same rates on the way up, so that latencies can be compared at equal rates. Then the
interval between the last rate that it kept up with and the first one that it did not is halved. What is found
has to hold once more.
"""

from collections.abc import Callable, Sequence
from math import inf, sqrt

from loadtests.analysis.results import Knee, Level

RATES = tuple(50.0 * 2**rung for rung in range(9))
"""Requests per second: 50, 100, ... 12,800."""
PRECISION = 1.1
"""The rate that was too much, over the knee, at most."""
STEP_SECONDS = 5.0
SHARES = (50, 75, 90)
"""Percent of the knee at which the latency is measured in the end."""
OF_KNEE = " % of the knee"
"""The end of such a level's name."""
STEP_REQUESTS = 700
"""Three trials have enough for a p95."""
MOST_P95_MS = 50.0
"""From the moment when a request was due."""
LEAST_ACHIEVED = 0.99
"""Of the offered rate."""
CHANCE = 3
"""Standard deviations that a number of requests may be above its limit: arrivals are random."""

TryRate = Callable[[float], str | None]
"""Offers a rate, and returns why it was too much; None where it was not."""


class GeneratorLimit(Exception):
    """The generator could not offer a rate; the message says why."""


def find_knee(try_rate: TryRate, rates: Sequence[float] = RATES, precision: float = PRECISION) -> Knee:
    """Climb the `rates`, then halve. No knee where `try_rate` raises GeneratorLimit: it may be higher."""
    kept, too_much, limit = 0.0, inf, f"{rates[-1]:.0f}/s is the highest rate that is tried"
    try:
        while rate := _next(kept, too_much, rates, precision):
            why = try_rate(rate)
            if why is None:
                kept = rate
            else:
                too_much, limit = rate, f"at {rate:.0f}/s {why}"
    except GeneratorLimit as error:
        return Knee(rps=None, limit=f"at {rate:.0f}/s {error}; {kept:.0f}/s was not too much")
    return Knee(rps=kept or None, limit=limit)


def confirm(found: Knee, try_rate: TryRate) -> Knee:
    """Lower the knee until the twin keeps up with it again: of two rates the luckier one was taken."""
    rps, limit = found["rps"], found["limit"]
    try:
        while rps and (why := try_rate(rps)):
            limit = f"at {rps:.0f}/s, tried again, {why}"
            rps = rps / PRECISION if rps > RATES[0] else None
    except GeneratorLimit as error:
        return Knee(rps=None, limit=f"at {rps:.0f}/s, tried again, {error}")
    return Knee(rps=rps, limit=limit)


def _next(kept: float, too_much: float, rates: Sequence[float], precision: float) -> float | None:
    if too_much == inf:
        return next((rate for rate in rates if rate > kept), None)
    return sqrt(kept * too_much) if kept and too_much / kept > precision else None


def why_too_much(level: Level) -> str | None:
    """Return why a level of the open model shows that its rate was too much; None where it was not.

    By Little's law, a twin that answers within 50 ms has the requests of 50 ms in flight.
    """
    offered, p95 = level["offered_rps"] or 0.0, (level["due_latency_ms"] or {}).get("p95")
    within_limit = offered * MOST_P95_MS / 1000
    chance = CHANCE * sqrt(within_limit)
    missing = (offered - level["achieved_rps"]) * level["seconds"]
    growth = level["in_flight_at_end"] - level["in_flight_at_start"]
    if p95 is None:
        return "no request succeeded"
    if p95 >= MOST_P95_MS:
        return f"the p95 was {p95:,.0f} ms"
    if missing > offered * level["seconds"] * (1 - LEAST_ACHIEVED) + chance:
        return f"{level['achieved_rps'] / offered:.1%} of the offered rate was answered"
    if growth > within_limit + chance:
        return f"the backlog grew by {growth} requests"
    return None


def step_seconds(rate: float) -> float:
    """Return how long a rate has to be measured."""
    return max(STEP_SECONDS, STEP_REQUESTS / rate)
