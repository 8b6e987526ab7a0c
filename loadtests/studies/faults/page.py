"""docs/faults.md: what came of every kind of fault, from the raw file alone."""

from typing import Any

from loadtests.report.markdown import table
from loadtests.report.numbers import number
from loadtests.studies.faults.campaign import RECOVERY
from loadtests.studies.study import Raw, measured_on

HEADS = (
    *("fault", "what it is", "times", "acknowledged", "lost", "doubled", "wrong rows"),
    *("503 or no answer", "not connected", "longest silence, s", "until the next event, s", "drain, s"),
)


def render(raw: Raw) -> str:
    kinds = [each for part in raw.values() for each in part["values"]]
    return f"""# Faults

{_verdict(kinds)}

{table([*HEADS], map(_row, kinds))}

Each kind has its own run of the async twin. 8 clients send events, and every request is kept with what came
of it. Between two faults an event has to go through. When the last fault is over and everything is in MySQL,
the history is held against the table, fingerprint by fingerprint. At least what was acknowledged is recorded,
at most that and what nobody answered for. There is no row that nobody sent. Message, service and stack trace
are as they were sent, and first and last time lie within the run. `tests/studies/test_faults.py` plants a
loss, a double, a foreign row and a wrong message, and sees each of them found.

"Longest silence" is the longest time without an acknowledgement, the fault's own duration and the restart of
what was killed included. "Until the next event" begins when the fault is over.

{measured_on("faults", raw)}"""


def _verdict(kinds: list[dict[str, Any]]) -> str:
    times, acknowledged, lost, doubled = (
        sum(each[name] for each in kinds) for name in ("times", "acknowledged", "lost", "doubled")
    )
    wrong = sum(len(each["wrong"]) for each in kinds)
    late = [each["fault"] for each in kinds if each["recovery"] > RECOVERY]
    slow = (
        f" Not up again within {RECOVERY:g} s: {', '.join(late)}."
        if late
        else f" Up again within {RECOVERY:g} s each time."
    )
    return (
        f"{len(kinds)} kinds of fault, {times:,} faults, {acknowledged:,} events acknowledged: "
        f"{lost:,} lost, {doubled:,} doubled, {wrong:,} wrong rows.{slow}"
    )


def _row(each: dict[str, Any]) -> list[object]:
    seconds = [number(each[name], 1) for name in ("longest_silence", "recovery", "drain")]
    counts = [f"{each[name]:,}" for name in ("acknowledged", "lost", "doubled")]
    unknown, refused = (f"{each[name]:,}" for name in ("unknown", "refused"))
    return [
        each["fault"],
        each["about"],
        each["times"],
        *counts,
        len(each["wrong"]),
        unknown,
        refused,
        *seconds,
    ]
