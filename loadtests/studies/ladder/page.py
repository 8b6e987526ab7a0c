"""docs/ladder.md: what each step between the twins bought, from the newest results of `make ladder`."""

import json
import re
from collections.abc import Callable
from itertools import pairwise
from math import log

from loadtests.analysis.pairs import compare
from loadtests.analysis.results import RESULTS, Comparison, Ratio, Results, newest
from loadtests.analysis.summary import (
    LevelId,
    level_ids,
    over_levels,
    over_trials,
    percentile,
    profiles,
    server_per_thousand,
)
from loadtests.bootstrap import ROOT
from loadtests.report.markdown import number, short, table
from loadtests.report.trials import every_trial, machine
from loadtests.studies import ladder

FOLDER = RESULTS / "ladder"
PAGE = ROOT / "docs" / "ladder.md"
STEPS: dict[str, str] = dict(re.findall(r"^\d\. `(\w+)`: (.+)$", ladder.__doc__ or "", re.MULTILINE))
"""What each step is, in one line, from the first to the last."""
Figure = Callable[[str], float | None]


def write() -> None:
    """Raises FileNotFoundError where there is no run."""
    source = newest(FOLDER)
    if source is None:
        raise FileNotFoundError("no run of the ladder yet: `make ladder` makes one")
    PAGE.write_text(render(json.loads(source.read_text())))


def render(results: Results) -> str:
    """Return the page; of a run of all steps, whose first profile is shown."""
    profile = profiles(results)[0]
    levels = level_ids(results, profile)
    found = [each for each in compare(results["trials"], [*pairwise(STEPS)]) if each["profile"] == profile]
    return f"""# The ladder between the twins

{_sentence(found, levels[-1])}

{table(["step", "what it does"], [[f"`{name}`", does] for name, does in STEPS.items()])}

Each takes its twin's app and changes one part: `loadtests/studies/ladder/`. They ran interleaved, under one
profile, with the same seeded events, and every event of every trial was audited: [method.md](method.md).

## What each step reaches

{_figures(results, profile, levels)}

p95 in milliseconds and requests per second: median of the valid trials. CPU: of all processes but the
generator. Lost: in all trials. "-": nothing valid, or fewer than 2,000 requests.

## What each step bought: how many times better than the step before

{_ratios(results, profile, levels, found)}

p95 and CPU: the figure of the step before over its own; requests: its own over that of the step before. Of
p95 it is the median of the ratios of the pairs, in brackets its interval, with fewer than 6 pairs the
smallest and the largest; of the others it is the ratio of the medians.

Run `{results["run"]}`, commit `{results["commit"]}`; to repeat it: `make ladder`. Made from
`loadtests/results/ladder/{results["run"]}/results.json`; do not edit.

{every_trial(results)}

{machine(results["environment"])}
"""


def _sentence(found: list[Comparison], last: LevelId) -> str:
    """Shares are on a logarithmic scale, on which the steps' factors add up."""
    factors = {
        each["twins"][1]: each["p95_ratio"]["median"]
        for each in found
        if each["level"] == last.name and each["p95_ratio"]
    }
    if len(factors) < len(STEPS) - 1:
        return f"At {last.name} not every step has a valid p95, so none can be said to have bought most."
    best = max(factors, key=factors.__getitem__)
    total = sum(map(log, factors.values()))
    product = f"{' x '.join(f'{factor:.2f}' for factor in factors.values())}"
    share = (
        f", {log(factors[best]) / total:.0%} of the way on a logarithmic scale"
        if total > 0 and factors[best] > 1
        else ""
    )
    return (
        f"At {last.name} the step to `{best}` bought most: the step before has {factors[best]:.2f} times its "
        f"p95{share}. All steps, in their order: {product}."
    )


def _figures(results: Results, profile: str, levels: list[LevelId]) -> str:
    heads = ["step", *(f"p95, {level.name}" for level in levels), f"requests/s, {levels[-1].name}"]
    rows = [
        [
            f"`{step}`",
            *(number(percentile(results, step, level, "p95"), 1) for level in levels),
            number(_rate(results, levels[-1])(step), 0),
            short(_cpu(results, profile)(step)),
            *_lost(results, step),
        ]
        for step in STEPS
    ]
    return table([*heads, "CPU s per 1,000 events", "acknowledged", "lost"], rows)


def _ratios(results: Results, profile: str, levels: list[LevelId], found: list[Comparison]) -> str:
    by_level = {(each["twins"][1], each["level"]): each["p95_ratio"] for each in found}
    rows = [
        [
            f"`{step}`",
            *(_ratio(by_level.get((step, level.name))) for level in levels),
            short(_quotient(_rate(results, levels[-1]), step, before)),
            short(_quotient(_cpu(results, profile), before, step)),
        ]
        for before, step in pairwise(STEPS)
    ]
    heads = ["step", *(f"p95, {level.name}" for level in levels), f"requests/s, {levels[-1].name}", "CPU"]
    return table(heads, rows)


def _ratio(found: Ratio | None) -> str:
    return f"{found['median']:.2f} ({found['low']:.2f} to {found['high']:.2f})" if found else "-"


def _rate(results: Results, level: LevelId) -> Figure:
    return lambda step: over_levels(results, step, level, lambda one: one["achieved_rps"])


def _cpu(results: Results, profile: str) -> Figure:
    return lambda step: over_trials(results, step, server_per_thousand, profile)


def _quotient(figure: Figure, upper: str, lower: str) -> float | None:
    over, under = figure(upper), figure(lower)
    return over / under if over and under else None


def _lost(results: Results, step: str) -> tuple[str, str]:
    counts = [trial["reconcile"] for trial in results["trials"] if trial["twin"] == step]
    return f"{sum(c['acknowledged'] for c in counts):,}", f"{sum(c['lost'] for c in counts):,}"
