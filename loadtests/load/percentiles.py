"""Exact percentiles, and histograms for whoever wants to draw or merge them later."""

from collections import Counter
from collections.abc import Sequence

from hdrh.histogram import HdrHistogram

PERCENTILES = (50, 90, 95, 99, 99.9)
HOUR = 3_600_000_000
"""In microseconds, the unit of the histograms: more than any request may take."""


def percentile(ordered: Sequence[float], percent: float) -> float | None:
    """Return the exact nearest-rank percentile of `ordered`, which must be sorted; None where it is empty.

    `percent` has one decimal place at most.
    """
    return ordered[-(-round(percent * 10) * len(ordered) // 1000) - 1] if ordered else None


def percentiles(values: Sequence[float], wanted: Sequence[float] = PERCENTILES) -> dict[str, float | None]:
    """Return the percentiles by name ("p95"), and "max", of values in any order."""
    ordered = sorted(values)
    return {f"p{percent}": percentile(ordered, percent) for percent in wanted} | {
        "max": percentile(ordered, 100)
    }


def histogram(milliseconds: Sequence[float]) -> str:
    """Return the HdrHistogram of latencies in microseconds, three significant digits, encoded V2 (base64)."""
    hdr = HdrHistogram(1, HOUR, 3)
    # It counts in Python: values that are the same microsecond are counted in C first.
    for microseconds, number in Counter(round(value * 1000) for value in milliseconds).items():
        hdr.record_value(microseconds, number)
    return str(hdr.encode().decode())
