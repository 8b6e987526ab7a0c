"""docs/ladder.md: what each rung between the twins bought, from the newest results of `make ladder`."""

import json
from collections.abc import Callable
from itertools import pairwise

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
from loadtests.load.subjects import ASYNC, RUNGS, SUBJECTS
from loadtests.report.markdown import table
from loadtests.report.numbers import factor, number, short
from loadtests.report.rungs import best_of, faster, gains, heaviest
from loadtests.report.trials import every_trial, machine_in_short

FOLDER = RESULTS / "ladder"
PAGE = ROOT / "docs" / "ladder.md"
WITHOUT_REDIS = "group_upsert"
Figure = Callable[[str], float | None]


def write() -> None:
    """Raises FileNotFoundError where there is no run."""
    source = newest(FOLDER)
    if source is None:
        raise FileNotFoundError("no run of the ladder yet: `make ladder` makes one")
    PAGE.write_text(render(json.loads(source.read_text())))


def render(results: Results) -> str:
    """Return the page of a run of all rungs, whose first profile is shown."""
    profile = profiles(results)[0]
    levels = level_ids(results, profile)
    found = [
        each
        for each in compare(results["trials"])
        if each["profile"] == profile and tuple(each["twins"]) in {*pairwise(RUNGS)}
    ]
    return f"""# The ladder between the twins

{_sentence(results)}

{table(["rung", "what it does"], [[f"`{name}`", SUBJECTS[name].about] for name in RUNGS])}

Each rung takes its twin's app and changes one part: the code is in `loadtests/studies/ladder/`. All rungs ran
interleaved, under one profile, with the same seeded events. Every event was audited: [method.md](method.md).

## What each rung reaches

{_figures(results, profile, levels)}

p95 is in milliseconds. It and the requests per second are medians of the valid trials. CPU is that of all
processes but the generator. Lost counts are summed over all trials. "-" means nothing valid, or fewer than
2,000 requests.

## What each rung bought: how many times better than the rung before

{_ratios(results, profile, levels, found)}

Above 1 is better than the rung before, below 1 is worse. For p95 the ratio is taken pair by pair. Its median
is shown, and in brackets its interval; with fewer than 6 pairs, too few for an interval, the smallest and
the largest. For requests and CPU it is the ratio of the medians.

## `async_dedup` beside `{WITHOUT_REDIS}`

`{WITHOUT_REDIS}` is the best that was found without Redis. How many times as long its p95 is as the async
twin's, pair by pair: above 1 the async twin is faster, and where the interval holds 1, nobody can tell.

{_beside(results, profile, levels)}

Run `{results["run"]}`, commit `{results["commit"]}`; to repeat it: `make ladder`. Made from
`loadtests/results/ladder/{results["run"]}/results.json`; do not edit.

{every_trial(results)}

{machine_in_short(results["environment"])}
"""


def _beside(results: Results, profile: str, levels: list[LevelId]) -> str:
    both = [each for each in results["trials"] if each["twin"] in (WITHOUT_REDIS, ASYNC)]
    found = {each["level"]: each["p95_ratio"] for each in compare(both) if each["profile"] == profile}
    ratios = [_ratio(found.get(level.name)) for level in levels]
    return table([*(f"p95, {level.name}" for level in levels)], [ratios])


def _sentence(results: Results) -> str:
    gained, level = gains(results), heaviest(results)
    if not gained:
        return f"At {level.name} not every rung has a valid p95, so none can be said to have bought most."
    best, most = best_of(gained)
    share = "most of the gain" if most else "the largest step"
    steps = ", ".join(f"`{rung}` {faster(ratio)}" for rung, ratio in gained.items())
    return (
        f"At {level.name} `{best}` is {faster(gained[best])} than the rung before, by p95: {share}. "
        f"All rungs, each against the one before: {steps}."
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
    return f"{factor(found['median'])} ({factor(found['low'])} to {factor(found['high'])})" if found else "-"


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
