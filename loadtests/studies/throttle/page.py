"""What stands between the marks of docs/throttle.md, from the raw file alone; the rest is written by hand."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from loadtests.analysis.results import Ratio, Trial
from loadtests.analysis.stats import ratio
from loadtests.analysis.summary import server_per_thousand
from loadtests.bootstrap import ROOT
from loadtests.load.client import TIMEOUT
from loadtests.load.profiles import all_at_once
from loadtests.load.subjects import ASYNC, NAIVE
from loadtests.report.markdown import table
from loadtests.report.marks import between
from loadtests.report.numbers import kinds, number
from loadtests.studies.study import Raw, when
from loadtests.studies.throttle.cost import Pair
from loadtests.studies.throttle.noisy_page import killed, noisy
from loadtests.studies.throttle.rush import Rush

PAGE = ROOT / "docs" / "throttle.md"


def render(raw: Raw) -> str:
    parts = [section(raw[name]["values"]) for name, section in SECTIONS.items() if name in raw]
    return between(PAGE.read_text(), "throttle", "\n\n".join([*parts, _measured(raw)]), "make throttle")


def _measured(raw: Raw) -> str:
    return f"""### Measured when

{when(raw)}
From `loadtests/results/throttle/throttle.json`. `make bench PROFILE=noisy` measures the first two parts
again, `make bench PROFILE=rush` the next two, `make throttle PARTS=cost` the last; `PAIRS=1` for a look."""


def _rush(trials: Sequence[Rush]) -> str:
    some = trials[0]
    return f"""### A rush of new issues

{all_at_once(some["users"]).about}

{some["users"]:,} users, a budget of {some["budget"]:,} new issues, {some["processes"]} processes of the API.

{_rush_verdict(trials)}

{table(RUSH_HEADS, map(_rush_row, trials))}

Seconds and p95 are from the moment at which all of them came, so a user's wait for its turn is in both. A
user gives up {TIMEOUT:g} s after it was let in."""


RUSH_HEADS = (
    *("twin", "pair", "answered with success", "of them folded", "failed", "rows", "of a budget of"),
    *("seconds until the last answer", "p95, s", "lost", "extra"),
)


def _rush_verdict(trials: Sequence[Rush]) -> str:
    return "\n".join(
        f"- **{twin}**: {_range(mine, 'rows')} rows and {_range(mine, 'folded')} folded events, "
        f"{_range(mine, 'acknowledged')} of {mine[0]['users']:,} users answered with success, "
        f"in {_range(mine, 'seconds')} s."
        for twin in (ASYNC, NAIVE)
        if (mine := [each for each in trials if each["twin"] == twin])
    )


def _range(trials: Sequence[Rush], what: str) -> str:
    """The least and the most of a figure; one where they are the same."""
    values = sorted(_figure(each, what) for each in trials)
    return " to ".join(dict.fromkeys(f"{value:,.0f}" for value in (values[0], values[-1])))


def _figure(trial: Rush, what: str) -> float:
    return {
        "rows": trial["audit"]["rows"],
        "folded": trial["folded"],
        "acknowledged": trial["acknowledged"],
        "seconds": trial["seconds"] or 0.0,
    }[what]


def _rush_row(each: Rush) -> list[object]:
    counts = each["audit"]["total"]
    return [
        each["twin"],
        each["pair"],
        f"{each['acknowledged']:,}",
        f"{each['folded']:,}",
        kinds(each["failed"]),
        f"{each['audit']['rows']:,}",
        f"{each['budget']:,}",
        number(each["seconds"], 1),
        number(None if each["p95_ms"] is None else each["p95_ms"] / 1000, 1),
        f"{counts['lost']:,}",
        f"{counts['extra']:,}",
    ]


def _rush_killed(trials: Sequence[Rush]) -> str:
    rows = [
        [
            " and ".join(each["killed"]),
            ", ".join(dict.fromkeys(each["states"])),
            *_rush_row(each)[2:7],
            f"{each['audit']['folded_later']:,}",
            *_rush_row(each)[7:8],
            number(each["audit"]["drain_seconds"], 1),
            *_rush_row(each)[9:],
        ]
        for each in trials
    ]
    return f"""### The same with the stores killed in the middle

async_dedup. What is killed comes back after some seconds.

{table(RUSH_KILLED_HEADS, rows)}

Folded later: events that were answered `queued` while neither store could be had, and that the replay has
folded since. A 503 says that nobody can tell."""


RUSH_KILLED_HEADS = (
    *("killed", "states", *RUSH_HEADS[2:7], "folded later", RUSH_HEADS[7], "drain, s", *RUSH_HEADS[9:]),
)


ALLOWED_COST = 0.02
"""Of the saturated rate, with a limit."""
COST_HEADS = ("", "without a limit", "with one", "change, in pairs", "from", "to", "pairs")


def _cost(pairs: Sequence[Pair]) -> str:
    whole = [each for each in pairs if each["free"]["valid"] and each["limited"]["valid"]]
    heading = "### What a limit costs"
    if not whole:
        return f"{heading}\n\nNo pair was valid."
    rates = ratio([_rate(each["limited"]) / _rate(each["free"]) for each in whole])
    cpus = ratio([_cpu(each["limited"]) / _cpu(each["free"]) for each in whole])
    rows = [
        _change("events/s", whole, _rate, rates, 0),
        _change("CPU of all server processes per event, us", whole, _cpu, cpus, 1),
    ]
    met = "met" if 1 - rates["median"] <= ALLOWED_COST else "**missed**"
    interval = "From and to are the least and the most: there are too few pairs for an interval."
    if rates["confidence"]:
        interval = "The interval holds the median with at least 95 %."
    return f"""{heading}

async_dedup with more load than it can take: of one service, a limit that is never reached, and without one.

{table(COST_HEADS, rows)}

{interval} Aimed at: at most {ALLOWED_COST:.0%} of the rate; {met}.
Left out as not valid: {len(pairs) - len(whole)} of {len(pairs)} pairs."""


def _change(
    name: str, pairs: Sequence[Pair], of: Callable[[Trial], float], found: Ratio, digits: int
) -> list[object]:
    return [
        name,
        *(number(median(of(each[case]) for each in pairs), digits) for case in ("free", "limited")),
        *(f"{found[each] - 1:+.1%}" for each in ("median", "low", "high")),
        found["pairs"],
    ]


def _rate(trial: Trial) -> float:
    return trial["levels"][0]["achieved_rps"]


def _cpu(trial: Trial) -> float:
    """In microseconds."""
    return (server_per_thousand(trial) or 0.0) * 1000


SECTIONS: Mapping[str, Callable[[Any], str]] = {
    "noisy": noisy,
    "noisy-killed": killed,
    "rush": _rush,
    "rush-killed": _rush_killed,
    "cost": _cost,
}
