"""The full percentile curve of every level, from the merged histograms of its valid trials."""

from math import log10

from hdrh.histogram import HdrHistogram

from loadtests.analysis.results import Results
from loadtests.analysis.summary import LevelId, level_ids, levels_of, profiles
from loadtests.report.page.figures import everyone, merge
from loadtests.report.page.latency import MILLISECONDS
from loadtests.report.page.parts import Chart, Section, Series, View, axis, chart, panel, rounded
from loadtests.report.verdict import headline

SLOWEST_LEFT = 10
"""Requests beyond the end of a curve: fewer would show single requests."""
POINTS_PER_DECADE = 15


def curves(results: Results) -> Section:
    ids = [level_id for profile in profiles(results) for level_id in level_ids(results, profile)]
    views: list[View] = [
        {"name": f"{level_id.profile}, {level_id.name}", "charts": [_curve(results, level_id)]}
        for level_id in ids
    ]
    last = headline(results)
    return {
        "id": "curve",
        "title": "All percentiles",
        "note": "Within what time so many of all requests were answered, the valid trials together. Every "
        "step to the right is a ten times rarer request. A climb at the end is a small number of very "
        "slow answers that an average hides. Each curve ends where only ten requests were slower.",
        "parts": panel(
            "curve", views, control="Level", shown=f"{last['profile']}, {last['level']}" if last else ""
        ),
    }


def _curve(results: Results, level_id: LevelId) -> Chart:
    merged = {subject: merge(levels_of(results, subject, level_id)) for subject in everyone(results)}
    ends = {subject: each.get_total_count() / SLOWEST_LEFT for subject, each in merged.items() if each}
    steps = int(log10(max([1.0, *ends.values()])) * POINTS_PER_DECADE)
    at = [float(f"{10 ** (step / POINTS_PER_DECADE):.6g}") for step in range(steps + 1)]
    series: list[Series] = [
        {"name": subject, "style": subject, "values": _values(each, at, ends.get(subject, 0.0))}
        for subject, each in merged.items()
    ]
    return chart(level_id.name, axis("percentile", "percentile"), MILLISECONDS, at, series)


def _values(merged: HdrHistogram | None, at: list[float], end: float) -> list[float | None]:
    """Return the latency in milliseconds that one of so many requests exceeds, as far as `end`."""
    if merged is None:
        return [None] * len(at)
    percents = [100 - 100 / x for x in at]
    values = merged.get_percentile_to_value_dict(percents)
    return [
        rounded(values[percent] / 1000) if x <= end else None for x, percent in zip(at, percents, strict=True)
    ]
