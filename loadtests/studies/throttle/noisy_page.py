"""What docs/throttle.md says of the noisy service."""

from collections.abc import Iterable, Sequence
from statistics import median

from loadtests.load.outcomes import THROTTLED
from loadtests.load.profiles import NOISY, NOISY_ONE, NOISY_RATE, OTHERS, USUAL_RATE
from loadtests.load.subjects import TWINS
from loadtests.report.markdown import table
from loadtests.report.numbers import factor, milliseconds, number
from loadtests.studies.throttle.noisy import BURST, CASES, LIMIT, Trial
from loadtests.studies.throttle.without_redis import Found

ALLOWED = 1.1
"""p95 of the others in the flood over that before it, at most."""
CHART = """```mermaid
---
config:
  themeVariables:
    xyChart:
      plotColorPalette: "{palette}"
---
xychart-beta
    title "{title}"
    x-axis "seconds" [{axis}]
    y-axis "milliseconds"
{lines}
```"""
LINES = {"limited": ("blue", "#0072b2"), "without a limit": ("orange", "#d55e00")}
"""The second part of a case's name, and how it is drawn."""


def noisy(trials: Sequence[Trial]) -> str:
    others = " and ".join(f"`{each}`" for each in OTHERS)
    invalid = [
        f"- {each['case']}, pair {each['pair']}: {'; '.join(each['invalid_reasons'])}"
        for each in trials
        if not each["valid"]
    ]
    left_out = "\n".join([f"Left out of p95 and ratio: {len(invalid)} of {len(trials)} trials.", *invalid])
    before, flood, after = (level.seconds for level in NOISY.levels)
    return f"""### A noisy service

{NOISY.about}

{others} send {USUAL_RATE:g} events a second each, and so does `{NOISY_ONE}`, {before:g} s long. Then
`{NOISY_ONE}` sends {NOISY_RATE:g} a second for {flood:g} s, and again as before for {after:g} s. Limited:
{LIMIT:g} a second for each service, {BURST} at once.

{_verdict(trials)}

{table(NOISY_HEADS, _noisy_rows(trials))}

A latency counts from when the event was due, and is of events that were acknowledged: a fast refusal is not
speed. p95 and ratio are the medians of the valid trials, the counts are the sums of all.

{_charts(trials)}

{left_out}"""


NOISY_HEADS = (
    *("twin", "service", "trials", "p95 before, ms", "in the flood", "after", "flood / before"),
    *("acknowledged", "429", "other failures", "lost", "extra"),
)


def _noisy_rows(trials: Sequence[Trial]) -> list[list[object]]:
    return [
        _noisy_row(case, service, [each for each in trials if each["case"] == case])
        for case in CASES
        for service in (*OTHERS, NOISY_ONE)
        if any(each["case"] == case for each in trials)
    ]


def _noisy_row(case: str, service: str, trials: Sequence[Trial]) -> list[object]:
    failed = [level["failed"] for each in trials for level in each["services"][service]["levels"]]
    throttled = sum(each.get(THROTTLED, 0) for each in failed)
    counts = [each["audit"]["services"][service] for each in trials]
    ratio = _ratio(trials, service)
    return [
        case,
        service,
        sum(each["valid"] for each in trials),
        *(_milliseconds(_p95(trials, service, level)) for level in range(len(NOISY.levels))),
        "-" if ratio is None else factor(ratio),
        *(f"{each:,}" for each in (sum(count["acknowledged"] for count in counts), throttled)),
        f"{sum(sum(each.values()) for each in failed) - throttled:,}",
        *(f"{sum(count[what] for count in counts):,}" for what in ("lost", "extra")),
    ]


def _p95_of(trial: Trial, service: str, level: int) -> float | None:
    return (trial["services"][service]["levels"][level]["due_latency_ms"] or {}).get("p95")


def _p95(trials: Sequence[Trial], service: str, level: int) -> float | None:
    return _median(_p95_of(each, service, level) for each in trials if each["valid"])


def _ratio(trials: Sequence[Trial], service: str) -> float | None:
    """Trial by trial, as the machine drifts."""
    pairs = [(_p95_of(each, service, 1), _p95_of(each, service, 0)) for each in trials if each["valid"]]
    return _median(flood / before for flood, before in pairs if flood and before)


def _verdict(trials: Sequence[Trial]) -> str:
    return "\n".join(
        f"- **{case}**: {_words(mine, CASES[case].is_limited)}"
        for case in CASES
        if (mine := [each for each in trials if each["case"] == case])
    )


def _of(trials: Sequence[Trial], twin: str, how: str) -> list[Trial]:
    return [each for each in trials if each["case"] == f"{twin}, {how}"]


def _words(trials: Sequence[Trial], is_limited: bool) -> str:
    levels = [level for each in trials for name in OTHERS for level in each["services"][name]["levels"]]
    refused = sum(level["failed"].get(THROTTLED, 0) for level in levels)
    answered = sum(level["acknowledged"] for level in levels)
    ratios = [ratio for name in OTHERS if (ratio := _ratio(trials, name)) is not None]
    words = f"the others got {refused:,} x {THROTTLED} beside {answered:,} acknowledged events"
    if not ratios:
        return f"{words}."
    times = f"their p95 in the flood was {' and '.join(map(factor, ratios))} times that before"
    within = f", {'within' if max(ratios) <= ALLOWED else '**not** within'} 10 %" if is_limited else ""
    return f"{words}; {times}{within}."


def _charts(trials: Sequence[Trial]) -> str:
    return "\n\n".join(chart for twin in TWINS if (chart := _chart(trials, twin)))


def _chart(trials: Sequence[Trial], twin: str) -> str:
    """The slower one of the two others, slot by slot; Mermaid has neither gaps nor a legend."""
    curves = {
        how: curve
        for how in LINES
        if (curve := _curve([each for each in _of(trials, twin, how) if each["valid"]]))
    }
    if not curves:
        return ""
    length = min(map(len, curves.values()))
    slot = trials[0]["services"][OTHERS[0]]["timeline"]["slot_seconds"]
    lines = [f"    line [{', '.join(f'{each:.1f}' for each in curve[:length])}]" for curve in curves.values()]
    legend = ", ".join(f"{LINES[how][0]}: {how}" for how in curves)
    return CHART.format(
        palette=", ".join(LINES[how][1] for how in curves),
        title=f"{twin}: p95 of the others ({legend})",
        axis=", ".join(f'"{slot * place:g}"' for place in range(length)),
        lines="\n".join(lines),
    )


def _curve(trials: Sequence[Trial]) -> list[float]:
    lines = [[_without_gaps(each, name) for name in OTHERS] for each in trials]
    slots = min((len(line) for of_trial in lines for line in of_trial), default=0)
    return [median(max(line[slot] for line in of_trial) for of_trial in lines) for slot in range(slots)]


def _without_gaps(trial: Trial, service: str) -> list[float]:
    """Where nothing was answered, as it was before."""
    line = [0.0]
    for value in trial["services"][service]["timeline"]["p95_ms"]:
        line.append(line[-1] if value is None else value)
    return line[1:]


def killed(found: Found) -> str:
    allowed = found["limit"] * found["away_seconds"] + found["burst"]
    above = max(found["away_let_through"] - allowed, 0)
    bound = (found["nodes"] - 1) * (found["burst"] + found["cycle"] * found["limit"])
    rows = [
        [
            each["name"],
            number(each["seconds"], 1),
            " -> ".join(each["modes"]),
            number(each["until_mode"], 1),
            f"{each['let_through']:,}",
            number(each["let_through"] / each["seconds"], 1),
        ]
        for each in found["periods"]
    ]
    counts = found["audit"]["total"]
    return f"""### The same on two nodes, with Redis killed

Two processes of the API on two ports, each a peer of the other; each service sends to both. In the flood
Redis is killed, then the two nodes can't reach each other either, then both come back. `{NOISY_ONE}` may send
{found["limit"]:g} events a second, and {found["burst"]} at once:

{table(KILLED_HEADS, rows)}

Without Redis, {number(found["away_seconds"], 1)} s long, {found["away_let_through"]:,} events were let
through. Allowed were {allowed:,.0f}: {above:,.0f} too many. The most that was above the limit in any stretch
of time of the trial: {found["overshoot"]:,.0f} events; the bound for {found["nodes"]} nodes: {bound:,.0f}.

{table(OTHERS_HEADS, _others_rows(found))}

Audit: {counts["acknowledged"]:,} acknowledged, {counts["lost"]:,} lost, {counts["extra"]:,} extra."""


KILLED_HEADS = (
    *("from then on", "seconds", "mode of the nodes", "until both are in it, s"),
    *(f"let through of `{NOISY_ONE}`", "a second"),
)
OTHERS_HEADS = ("service", "p95 before, ms", "in the flood", "after", "429 before", "in the flood", "after")


def _others_rows(found: Found) -> list[list[object]]:
    rows: list[list[object]] = []
    for name in (*OTHERS, NOISY_ONE):
        levels = found["services"][name]["levels"]
        p95s = [_milliseconds((each["due_latency_ms"] or {}).get("p95")) for each in levels]
        rows.append([name, *p95s, *(f"{each['failed'].get(THROTTLED, 0):,}" for each in levels)])
    return rows


def _median(values: Iterable[float | None]) -> float | None:
    found = [each for each in values if each is not None]
    return median(found) if found else None


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else milliseconds(value)
