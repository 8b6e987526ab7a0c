"""How long an answer takes, by load, and how many times longer with one twin than with the other."""

from typing import NamedTuple

from loadtests.analysis.results import Comparison, Ratio, Results
from loadtests.analysis.summary import ends, is_smoke, level_ids, profiles
from loadtests.report.numbers import FEW, factor
from loadtests.report.page.figures import Spread, closed_profiles, everyone, latency_spread
from loadtests.report.page.parts import (
    Chart,
    Panel,
    Section,
    Series,
    Table,
    axis,
    chart,
    panel,
    rounded,
    table,
)
from loadtests.report.verdict import spread

MILLISECONDS = axis("ms", "log")
LOAD = axis("load", "category")
BAND = "a twin over itself"


def by_load(results: Results) -> Section:
    parts: list[Panel | Table] = []
    for profile in closed_profiles(results):
        charts = [_by_level(results, profile, each) for each in ("p95", "p99")]
        parts += panel(f"latency-{profile}", [{"name": profile, "charts": charts}], f"Profile {profile}")
    return {
        "id": "latency",
        "title": "Latency by load",
        "note": "95 and 99 of 100 successful requests were answered within this time: the median of the "
        "valid trials. Whiskers reach from the smallest trial to the largest; they are no confidence "
        "interval. Lower is better; a line that bends upwards is a twin that runs out of something. "
        "The floor is the same load against a handler that does nothing: what is close to it is the "
        "harness, not the twin. A p95 of fewer than 2,000 requests and a p99 of fewer than 10,000 are "
        "left out.",
        "parts": parts,
    }


def _by_level(results: Results, profile: str, name: str) -> Chart:
    ids = level_ids(results, profile)
    series = [
        with_spread(subject, [latency_spread(results, subject, level_id, name) for level_id in ids])
        for subject in everyone(results)
    ]
    title = f"{name}, {FEW}" if is_smoke(results) else name
    return chart(title, LOAD, MILLISECONDS, [level_id.name for level_id in ids], series)


def with_spread(subject: str, spreads: list[Spread | None]) -> Series:
    """Return a series of medians, each from its smallest to its largest value."""
    return {
        "name": subject,
        "style": subject,
        "values": [rounded(each and each.median) for each in spreads],
        "low": [rounded(each and each.low) for each in spreads],
        "high": [rounded(each and each.high) for each in spreads],
    }


def ratios(results: Results) -> Section:
    parts: list[Panel | Table] = []
    for profile in profiles(results):
        compared = [each for each in results["comparison"] if each["profile"] == profile]
        if compared:
            view = [_ratios_by_level(compared, ends(results))]
            parts += panel(f"ratio-{profile}", [{"name": profile, "charts": view}], f"Profile {profile}")
            parts += _tables(results, profile, compared)
    return {
        "id": "ratio",
        "title": "How many times slower",
        "note": "The p95 of one twin over that of the other, pair by pair: the median of the pairs, and the "
        "interval that holds the true median. With fewer than 6 pairs, the smallest and the largest: "
        "too few for an interval. Above 1, the twin that is named first is slower. A twin over itself "
        "shows what chance and drift make of two equal things; an interval that holds 1 or lies "
        "inside that band is no difference. A dash is a ratio of too few requests: a p95 needs 2,000 of "
        "each twin, a p99 10,000.",
        "parts": parts,
    }


def _ratios_by_level(compared: list[Comparison], ends: tuple[str, str] | None) -> Chart:
    names = list(dict.fromkeys(each["level"] for each in compared))
    lines: dict[tuple[str, str], dict[str, Spread]] = {}
    for each in compared:
        if ratio := each["p95_ratio"]:
            style = "ratio" if tuple(each["twins"]) == ends else each["twins"][1]
            line = lines.setdefault((" / ".join(each["twins"]), style), {})
            line[each["level"]] = Spread(ratio["median"], ratio["low"], ratio["high"])
    bands = {each["level"]: band for each in compared if (band := each["p95_band"])}
    if bands:
        lines[BAND, "band"] = {level: Spread(1.0, 1 / band, band) for level, band in bands.items()}
    series: list[Series] = [
        {**with_spread(name, [line.get(level) for level in names]), "style": style}
        for (name, style), line in lines.items()
    ]
    drawn = chart("p95 ratio", LOAD, axis("times", "log"), names, series)
    drawn["kind"] = "points"
    drawn["level"] = 1.0
    return drawn


class Row(NamedTuple):
    level: str
    twins: str
    p95: Ratio | None
    p99: Ratio | None
    same_p95: bool | None = None
    same_p99: bool | None = None


def _tables(results: Results, profile: str, compared: list[Comparison]) -> list[Table]:
    """Return the ratios of two twins, and folded those of a twin over itself."""
    found = [
        Row(
            *(each["level"], _over(*each["twins"]), each["p95_ratio"], each["p99_ratio"]),
            *(each["indistinguishable"], each["p99_indistinguishable"]),
        )
        for each in compared
    ]
    controls = [
        Row(each["level"], _over(each["twin"], "itself"), each["p95_ratio"], each["p99_ratio"])
        for each in results["control"]
        if each["profile"] == profile
    ]
    return [
        *_table(found, f"Profile {profile}, ratios in figures"),
        *_table(controls, f"Profile {profile}, each twin over itself in figures", folded=True),
    ]


def _table(found: list[Row], title: str, folded: bool = False) -> list[Table]:
    """Return a table of the ratios that there are; what has none is one sentence below it."""
    rows = [
        [each.level, each.twins, *_ratio(each.p95, each.same_p95), *_ratio(each.p99, each.same_p99)]
        for each in found
        if each.p95 or each.p99
    ]
    heads = ["load", "twins", "p95 ratio", "of the p95", "p99 ratio", "of the p99"]
    note = _too_few([each for each in found if not (each.p95 or each.p99)])
    return [table(heads, rows, title, folded, note)] if rows or note else []


def _over(first: str, second: str) -> str:
    return f"{first}\N{NO-BREAK SPACE}/\N{NO-BREAK SPACE}{second}"


def _too_few(few: list[Row]) -> str:
    by_twins: dict[str, list[str]] = {}
    for each in few:
        by_twins.setdefault(each.twins, []).append(each.level)
    words = "; ".join(f"{twins} at {', '.join(levels)}" for twins, levels in by_twins.items())
    return f"Too few requests for a ratio: {words}." if words else ""


def _ratio(ratio: Ratio | None, same: bool | None = None) -> list[str]:
    if ratio is None:
        return ["-", ""]
    return [factor(ratio["median"]), spread(ratio) + (": indistinguishable" if same else "")]
