"""What makes a measurement invalid: rules fixed before the run, each with its reason in words.

What concerns the generator is judged level by level, since 500 users may be too many for it where 200 are
not. What concerns the machine or the processes spoils the whole trial.
"""

from collections.abc import Sequence

from loadtests.results import Generator, Reconciliation

MOST_CPU = 0.9
"""Of its core. Above, requests wait for the generator and not for the twin."""
MOST_LAG_MS = 50.0
"""p99. A free core is below 20 ms even at 500 users: events that come together are served one by one."""
MOST_STOLEN = 0.05


def level_reasons(generator: Generator, acknowledged: int) -> list[str]:
    """Return why a level can't be compared; empty where it can."""
    share, lag = generator["cpu_share"], generator["loop_lag_p99_ms"]
    if share is None or lag is None:
        return ["the generator was not observed"]
    reasons = []
    if share > MOST_CPU:
        reasons.append(f"the generator used {share:.0%} of its core")
    if lag > MOST_LAG_MS:
        reasons.append(f"the generator's loop lagged by {lag:.0f} ms (p99)")
    if not acknowledged:
        reasons.append("no request succeeded")
    return reasons


def trial_reasons(
    twin: str, counts: Reconciliation, stolen_share: float, restarted: Sequence[str]
) -> list[str]:
    """Return why a whole trial can't be compared. That the naive twin loses counts is its result."""
    reasons = []
    if stolen_share > MOST_STOLEN:
        reasons.append(f"{stolen_share:.0%} of the CPU time was stolen by other machines")
    if restarted:
        reasons.append(f"died or restarted: {', '.join(restarted)}")
    if twin == "async_dedup" and (counts["lost"] or counts["extra"]):
        reasons.append(f"counts do not reconcile: {counts['lost']} lost, {counts['extra']} extra")
    return reasons
