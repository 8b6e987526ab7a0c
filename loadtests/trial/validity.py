"""What makes a measurement invalid: rules fixed before the run, each with its reason in words.

What concerns the generator is judged level by level, since 500 users may be too many for it where 200 are
not. What concerns the machine or the processes spoils the whole trial.
"""

from collections.abc import Mapping
from typing import Any

from loadtests.analysis.results import Machine, Reconciliation
from loadtests.load.measured import Generator
from loadtests.load.subjects import SUBJECTS

MOST_CPU = 0.9
"""Of its core. Above, requests wait for the generator and not for the twin."""
MOST_LAG_MS = 50.0
"""p99. A free core is below 20 ms even at 500 users: events that come together are served one by one."""
LEAST_SENT = 0.99
"""Of the requests that were due, sent in time. What waited for answers to others is not the generator's."""
MOST_STOLEN = 0.05
MOST_OTHERS = 0.1
"""Of all cores."""
MOST_THROTTLED = 0.01
"""Of the periods of a CPU quota. In each everybody stands still, up to a tenth of a second: a tail."""


def level_reasons(level: Mapping[str, Any]) -> list[str]:
    """Return why a level can't be compared; empty where it can."""
    reasons = generator_reasons(level["generator"])
    return reasons if level["acknowledged"] else [*reasons, "no request succeeded"]


def generator_reasons(generator: Generator) -> list[str]:
    """Return why it may be the generator that a level shows; empty where it is the twin."""
    share, lag, sent = generator["cpu_share"], generator["loop_lag_p99_ms"], generator["sent_share"]
    if share is None or lag is None:
        return ["the generator was not observed"]
    reasons = []
    if share > MOST_CPU:
        reasons.append(f"the generator used {share:.0%} of its core")
    if lag > MOST_LAG_MS:
        reasons.append(f"the generator's loop lagged by {lag:.0f} ms (p99)")
    if sent is not None and sent < LEAST_SENT:
        reasons.append(f"the generator sent only {sent:.1%} of what was due in time")
    return reasons


def trial_reasons(twin: str, counts: Reconciliation, machine: Machine) -> list[str]:
    """Return why a whole trial can't be compared. That the naive twin loses counts is its result.

    What a third implementation promises is not known.
    """
    reasons = []
    if machine["stolen_share"] > MOST_STOLEN:
        reasons.append(f"{machine['stolen_share']:.0%} of the CPU time was stolen by other machines")
    if machine["others_share"] > MOST_OTHERS:
        reasons.append(f"{machine['others_share']:.0%} of the CPU time went to other work on this machine")
    if (throttled := machine.get("throttled_share", 0.0)) > MOST_THROTTLED:
        reasons.append(f"a CPU quota stopped it in {throttled:.0%} of its periods")
    if machine["restarted"]:
        reasons.append(f"died or restarted: {', '.join(machine['restarted'])}")
    if SUBJECTS[twin].promises_counts and (counts["lost"] or counts["extra"]):
        reasons.append(f"counts do not reconcile: {counts['lost']} lost, {counts['extra']} extra")
    return reasons
