"""Whether a rate was too much: what a level of the open model shows of it."""

from math import sqrt

from loadtests.load.measured import Level

MOST_P95_MS = 50.0
"""From the moment when a request was due."""
LEAST_ACHIEVED = 0.99
"""Of the offered rate."""
CHANCE = 3
"""Standard deviations that a number of requests may be above its limit: arrivals are random."""


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
