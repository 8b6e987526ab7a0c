"""docs/ladder.md: what each rung between the twins bought, from the newest results of `make ladder`."""

import json
from collections.abc import Callable
from itertools import pairwise
from math import log

from loadtests.analysis.pairs import compare
from loadtests.analysis.results import RESULTS, Comparison, Ratio, Results, newest
from loadtests.analysis.summary import (
    LevelId,
    level_ids,
    level_percentile,
    over_levels,
    over_trials,
    profiles,
    server_per_thousand,
)
from loadtests.bootstrap import ROOT
from loadtests.load.subjects import RUNGS, SUBJECTS
from loadtests.report.markdown import table
from loadtests.report.numbers import number, short
from loadtests.report.trials import every_trial, machine

FOLDER = RESULTS / "ladder"
PAGE = ROOT / "docs" / "ladder.md"
Figure = Callable[[str], float | None]


def write() -> None:
    """Raises FileNotFoundError where there is no run."""
    source = newest(FOLDER)
    if source is None:
        raise FileNotFoundError("no run of the ladder yet: `make ladder` makes one")
    PAGE.write_text(render(json.loads(source.read_text())))


def render(results: Results) -> str:
    """Return the page; of a run of all rungs, whose first profile is shown."""
    profile = profiles(results)[0]
    levels = level_ids(results, profile)
    found = [
        each
        for each in compare(results["trials"])
        if each["profile"] == profile and tuple(each["twins"]) in {*pairwise(RUNGS)}
    ]
    return f"""# The ladder between the twins

{_sentence(found, levels[-1])}

{table(["rung", "what it does"], [[f"`{name}`", SUBJECTS[name].about] for name in RUNGS])}

Each takes its twin's app and changes one part: `loadtests/studies/ladder/`. They ran interleaved, under one
profile, with the same seeded events, and every event of every trial was audited: [method.md](method.md).

## What each rung reaches

{_figures(results, profile, levels)}

p95 in milliseconds and requests per second: median of the valid trials. CPU: of all processes but the
generator. Lost: in all trials. "-": nothing valid, or fewer than 2,000 requests.

## What each rung bought: how many times better than the rung before

{_ratios(results, profile, levels, found)}

p95 and CPU: the figure of the rung before over its own; requests: its own over that of the rung before. Of
p95 it is the median of the ratios of the pairs, in brackets its interval, with fewer than 6 pairs the
smallest and the largest; of the others it is the ratio of the medians.

Run `{results["run"]}`, commit `{results["commit"]}`; to repeat it: `make ladder`. Made from
`loadtests/results/ladder/{results["run"]}/results.json`; do not edit.

{every_trial(results)}

{machine(results["environment"])}
"""


def _sentence(found: list[Comparison], last: LevelId) -> str:
    """Shares are on a logarithmic scale, on which the rungs' factors add up."""
    factors = {
        each["twins"][1]: each["p95_ratio"]["median"]
        for each in found
        if each["level"] == last.name and each["p95_ratio"]
    }
    if len(factors) < len(RUNGS) - 1:
        return f"At {last.name} not every rung has a valid p95, so none can be said to have bought most."
    best = max(factors, key=factors.__getitem__)
    total = sum(map(log, factors.values()))
    product = f"{' x '.join(f'{factor:.2f}' for factor in factors.values())}"
    share = (
        f", {log(factors[best]) / total:.0%} of the way on a logarithmic scale"
        if total > 0 and factors[best] > 1
        else ""
    )
    return (
        f"At {last.name} the rung `{best}` bought most: the rung before has {factors[best]:.2f} times its "
        f"p95{share}. All rungs, in their order: {product}."
    )


def _figures(results: Results, profile: str, levels: list[LevelId]) -> str:
    heads = ["rung", *(f"p95, {level.name}" for level in levels), f"requests/s, {levels[-1].name}"]
    rows = [
        [
            f"`{rung}`",
            *(number(level_percentile(results, rung, level, "p95"), 1) for level in levels),
            number(_rate(results, levels[-1])(rung), 0),
            short(_cpu(results, profile)(rung)),
            *_lost(results, rung),
        ]
        for rung in RUNGS
    ]
    return table([*heads, "CPU s per 1,000 events", "acknowledged", "lost"], rows)


def _ratios(results: Results, profile: str, levels: list[LevelId], found: list[Comparison]) -> str:
    by_level = {(each["twins"][1], each["level"]): each["p95_ratio"] for each in found}
    rows = [
        [
            f"`{rung}`",
            *(_ratio(by_level.get((rung, level.name))) for level in levels),
            short(_quotient(_rate(results, levels[-1]), rung, before)),
            short(_quotient(_cpu(results, profile), before, rung)),
        ]
        for before, rung in pairwise(RUNGS)
    ]
    heads = ["rung", *(f"p95, {level.name}" for level in levels), f"requests/s, {levels[-1].name}", "CPU"]
    return table(heads, rows)


def _ratio(found: Ratio | None) -> str:
    return f"{found['median']:.2f} ({found['low']:.2f} to {found['high']:.2f})" if found else "-"


def _rate(results: Results, level: LevelId) -> Figure:
    return lambda rung: over_levels(results, rung, level, lambda one: one["achieved_rps"])


def _cpu(results: Results, profile: str) -> Figure:
    return lambda rung: over_trials(results, rung, server_per_thousand, profile)


def _quotient(figure: Figure, upper: str, lower: str) -> float | None:
    over, under = figure(upper), figure(lower)
    return over / under if over and under else None


def _lost(results: Results, rung: str) -> tuple[str, str]:
    counts = [trial["reconcile"] for trial in results["trials"] if trial["twin"] == rung]
    return f"{sum(c['acknowledged'] for c in counts):,}", f"{sum(c['lost'] for c in counts):,}"
