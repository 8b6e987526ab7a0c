"""docs/endurance.md, from the raw file alone."""

from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

from loadtests.report.markdown import table
from loadtests.report.numbers import number
from loadtests.studies.endurance.outage import OUTAGES
from loadtests.studies.endurance.watch import ROLES
from loadtests.studies.study import Raw, measured_on

MEBIBYTE = 2**20
BOUNDS = {
    **dict.fromkeys(ROLES, 1_024 * MEBIBYTE),
    "redis": 1_100 * MEBIBYTE,
    "spool": 257 * MEBIBYTE,
}
"""Bytes that may be held through an outage. A process: what compose gives its container. Redis: `maxmemory`,
and what it holds beside. The spool: its own setting, and what was appended while another process looked."""


def render(raw: Raw) -> str:
    outages = {name: raw[name]["values"] for name in OUTAGES if name in raw}
    return f"""# Endurance

What the async twin holds while MySQL is away for long, how it comes back, and whether anything grows in half
an hour of faults.

{"".join(map(_outage, outages.values()))}{_bounds(outages)}
{_soak(raw["soak"]["values"]) if "soak" in raw else ""}
{measured_on("endurance", raw)}"""


def _outage(each: dict[str, Any]) -> str:
    counts, events = each["reconcile"], each["acknowledged"]
    p95s = ", ".join(number(value, 1) for value in each["p95_after"])
    return f"""## MySQL away: {each["about"]}

{events:,} events were acknowledged, {each["unanswered"]:,} answered 503 or not at all. States of the ingest
until MySQL was back: {", ".join(dict.fromkeys(each["states"]))}; {len(each["states"]) - 1} changes.

When MySQL was back, everything was in it after {number(each["drain_seconds"], 0)} s:
{number(events / each["drain_seconds"], 0)} events a second, beside new ones. {counts["lost"]:,} lost,
{counts["extra"]:,} doubled.

p95 of 200 requests a second before: {number(each["p95_before"], 1)} ms. From MySQL's return on, each 8 s:
{p95s} ms.

"""


def _bounds(outages: dict[str, Any]) -> str:
    rows = []
    for part, bound in BOUNDS.items():
        held = [_held(each, part) for each in outages.values()]
        verdict = "yes" if all(size <= bound for size in held) else "**no**"
        rows.append(
            [part, *(number(size / MEBIBYTE, 0) for size in held), f"{bound / MEBIBYTE:,.0f}", verdict]
        )
    heads = ["MiB, at most", *outages, "bound", "kept"]
    return f"## Bounds\n\n{table(heads, rows)}\n"


def _held(each: dict[str, Any], part: str) -> int:
    if part in ROLES:
        return int(each["memory"][part])
    return int(each[f"{part}_bytes"])


def _soak(each: dict[str, Any]) -> str:
    held = [one for _, one in each["held"]]
    third = max(len(held) // 3, 1)
    rows = []
    for name, of in _SERIES.items():
        values = [value for one in held if (value := of(one)) is not None]
        rows.append(
            [
                name,
                number(median(values[:third]), 0),
                number(median(values[-third:]), 0),
                number(values[-1], 0),
            ]
        )
    times = sum(each["faults"].values())
    return f"""## A fault each 20 seconds

{each["seconds"] / 60:.0f} minutes, {times} faults of {len(each["faults"])} kinds.
{each["acknowledged"]:,} events were acknowledged, {each["unknown"]:,} answered 503 or not at all:
{each["lost"]:,} lost, {each["doubled"]:,} doubled, {each["wrong"]:,} wrong rows. After a fault the next
event went through within {number(each["recovery"], 1)} s.

{table(["what is held", "first third, median", "last third, median", "after the drain"], rows)}
"""


def _part(what: str, role: str, unit: int, one: Any) -> float | None:
    return one[what][role] / unit if role in one[what] else None


_SERIES: dict[str, Callable[[Any], float | None]] = {
    **{f"{role}: memory, MiB": partial(_part, "memory", role, MEBIBYTE) for role in ROLES},
    **{f"{role}: descriptors": partial(_part, "descriptors", role, 1) for role in ROLES},
    "Redis: memory, MiB": lambda one: one["redis_bytes"] / MEBIBYTE,
    "Redis: keys": lambda one: one["redis_keys"],
    "spool, KiB": lambda one: one["spool_bytes"] / 1_024,
}
