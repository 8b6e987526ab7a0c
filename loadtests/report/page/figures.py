"""What the charts need beyond the summary: figures with their spread, and merged histograms."""

from collections.abc import Iterable
from statistics import median
from typing import NamedTuple

from hdrh.histogram import HdrHistogram

from loadtests.analysis.pairs import FLOORS, latency
from loadtests.analysis.results import Results
from loadtests.analysis.summary import LevelId, is_smoke, levels_of, measured, profiles
from loadtests.load.measured import Level
from loadtests.load.subjects import FLOOR


class Spread(NamedTuple):
    median: float
    low: float
    high: float


def spread(values: Iterable[float | None]) -> Spread | None:
    """Return the median with the smallest and the largest; None where no value is known."""
    known = [value for value in values if value is not None]
    return Spread(median(known), min(known), max(known)) if known else None


def latency_spread(results: Results, subject: str, level_id: LevelId, name: str) -> Spread | None:
    """Return a level's percentile over its valid trials.

    None with too few requests to publish it; a smoke run is never published, so there `FEW` stands beside it.
    """
    levels = levels_of(results, subject, level_id)
    if sum(level["acknowledged"] for level in levels) < FLOORS[name] and not is_smoke(results):
        return None
    return spread(latency(level, name) for level in levels)


def achieved(results: Results, subject: str, level_id: LevelId) -> Spread | None:
    return spread(level["achieved_rps"] for level in levels_of(results, subject, level_id))


def everyone(results: Results) -> list[str]:
    """Return whose figures there are, the floor last."""
    return [*measured(results), *([FLOOR.name] if results["floor"] else [])]


def closed_profiles(results: Results) -> list[str]:
    rising = open_profiles(results)
    return [profile for profile in profiles(results) if profile not in rising]


def open_profiles(results: Results) -> list[str]:
    return list(
        dict.fromkeys(
            trial["profile"]
            for trial in results["trials"]
            if any(level["offered_rps"] is not None for level in trial["levels"])
        )
    )


def merge(levels: list[Level]) -> HdrHistogram | None:
    """Return one histogram of all levels, in microseconds; None without a request.

    In the open model from when each request was due, like every other latency.
    """
    encoded = [level["due_histogram"] or level["histogram"] for level in levels if level["acknowledged"]]
    if not encoded:
        return None
    merged = HdrHistogram.decode(encoded[0])
    for each in encoded[1:]:
        merged.decode_and_add(each)
    return merged
