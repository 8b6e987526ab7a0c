"""docs/faults.md: what came of every kind of fault, from the raw file alone."""

from typing import Any

from loadtests.load.subjects import ASYNC, NAIVE
from loadtests.report.markdown import table
from loadtests.report.numbers import number
from loadtests.studies.faults.campaign import RECOVERY
from loadtests.studies.faults.kinds import FAULTS
from loadtests.studies.study import Raw, measured_on

HEADS = (
    *("fault", "what it is", "times", "acknowledged", "lost", "doubled", "wrong rows"),
    *(
        "503 or no answer",
        "not connected, or 429",
        "longest silence, s",
        "until the next event, s",
        "drain, s",
    ),
)

HEADS_OF_NAIVE = tuple("500, 503 or no answer" if each.startswith("503") else each for each in HEADS)


def render(raw: Raw) -> str:
    every = [each for name in FAULTS if name in raw for each in raw[name]["values"]]
    kinds = [each for each in every if each["twin"] == ASYNC and each["keeps"]]
    naive = [each for each in every if each["twin"] == NAIVE]
    not_promised = [each for each in every if not each["keeps"]]
    return f"""# Faults

{_verdict(kinds)}

{table([*HEADS], map(_row, kinds))}

Each kind has its own run of the twin. 8 clients send events, and every request is kept with what came
of it. Between two faults an event has to go through. When the last fault is over and everything is in MySQL,
the history is held against the table, fingerprint by fingerprint. At least what was acknowledged is recorded,
at most that and what nobody answered for. There is no row that nobody sent. Message, service and stack trace
are as they were sent, and first and last time lie within the run. `tests/studies/test_faults.py` plants a
loss, a double, a foreign row and a wrong message, and sees each of them found.

A process that is killed "at a step" ends itself there, by a hook that only the campaign puts into it
(`studies/faults/steps.py`). What is between two hosts is made slow or torn by a proxy. A full disk is one to
which Linux lets this process write no more.

"Longest silence" is the longest time without an acknowledgement, the fault's own duration and the restart of
what was killed included. "Until the next event" begins when the fault is over.

## What the naive twin makes of it

The same faults, clients and oracle, where they apply. It loses updates without any fault (flaw 1), and
answers 500 where two requests insert one fingerprint at once (flaw 2).

{table([*HEADS_OF_NAIVE], map(_row, naive))}

## What nobody promises

A Redis that forgets, or that comes back from an older file. Events that MySQL had already stay as they are.
Those that only Redis had are lost. From an older file what MySQL has got since is counted once more.

{table([*HEADS], map(_row, not_promised))}

{measured_on("faults", raw)}"""


def _verdict(kinds: list[dict[str, Any]]) -> str:
    times, acknowledged, lost, doubled, wrong = (
        sum(each[name] for each in kinds) for name in ("times", "acknowledged", "lost", "doubled", "wrong")
    )
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
        each["wrong"],
        unknown,
        refused,
        *seconds,
    ]
