"""What makes a measurement invalid: rules fixed before the run, each with its reason in words.

What concerns the generator is judged level by level, since 500 users may be too many for it where 200 are
not. What concerns the machine or the processes spoils the whole trial.
"""

from loadtests.results import Generator, Machine, Reconciliation

MOST_CPU = 0.9
"""Of its core. Above, requests wait for the generator and not for the twin."""
MOST_LAG_MS = 50.0
"""p99. A free core is below 20 ms even at 500 users: events that come together are served one by one."""
MOST_STOLEN = 0.05
MOST_OTHERS = 0.1
"""Of all cores."""


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


def trial_reasons(twin: str, counts: Reconciliation, machine: Machine) -> list[str]:
    """Return why a whole trial can't be compared. That the naive twin loses counts is its result."""
    reasons = []
    if machine["stolen_share"] > MOST_STOLEN:
        reasons.append(f"{machine['stolen_share']:.0%} of the CPU time was stolen by other machines")
    if machine["others_share"] > MOST_OTHERS:
        reasons.append(f"{machine['others_share']:.0%} of the CPU time went to other work on this machine")
    if machine["restarted"]:
        reasons.append(f"died or restarted: {', '.join(machine['restarted'])}")
    if twin == "async_dedup" and (counts["lost"] or counts["extra"]):
        reasons.append(f"counts do not reconcile: {counts['lost']} lost, {counts['extra']} extra")
    return reasons
