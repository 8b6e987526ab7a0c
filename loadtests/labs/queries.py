"""The few kinds of PromQL that lab 9 shows, each with what it comes to on a recording."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import NamedTuple, Protocol

from loadtests.labs.recording import Recording, Values
from loadtests.live.counts import STEPS, quantile

WINDOW = "5s"
"""As in grafana/rules.yml: it holds the last scrape and the `STEPS` before it."""
LE = re.compile(r'le="([^"]+)"')


class Query(Protocol):
    @property
    def promql(self) -> str: ...

    @property
    def asks(self) -> "tuple[Series, ...]": ...

    def values(self, recording: Recording) -> Values:
        """Return its value at each scrape; None where there is none."""


@dataclass(frozen=True)
class Series:
    """Those of a name whose labels hold all of these, each as it is written, such as `state="in_use"`."""

    job: str
    name: str
    labels: tuple[str, ...] = ()

    def __str__(self) -> str:
        selector = ",".join((f'job="{self.job}"', *self.labels))
        return f"{self.name}{{{selector}}}"

    def of(self, recording: Recording) -> dict[str, Values]:
        """Return them by name and labels."""
        found = recording.series[self.job].items()
        return {name: values for name, values in found if self.has(self.job, name)}

    def has(self, job: str, name: str) -> bool:
        """`name` is with its labels, as a line of `/metrics` begins."""
        own = name.partition("{")[0]
        return (job, own) == (self.job, self.name) and all(label in name for label in self.labels)


@dataclass(frozen=True)
class Gauge:
    """Of one series, as it stands."""

    series: Series

    @property
    def promql(self) -> str:
        return str(self.series)

    @property
    def asks(self) -> tuple[Series, ...]:
        return (self.series,)

    def values(self, recording: Recording) -> Values:
        (values,) = self.series.of(recording).values()
        return values


@dataclass(frozen=True)
class Rate:
    """Growth per second, of all the series together."""

    series: Series

    @property
    def promql(self) -> str:
        return f"sum(rate({self.series}[{WINDOW}]))"

    @property
    def asks(self) -> tuple[Series, ...]:
        return (self.series,)

    def values(self, recording: Recording) -> Values:
        every = [_rates(values, recording.at) for values in self.series.of(recording).values()]
        return [_sum([rates[scrape] for rates in every]) for scrape in range(len(recording.at))]


@dataclass(frozen=True)
class Ratio:
    over: Rate
    under: Rate

    @property
    def promql(self) -> str:
        return f"{self.over.promql} / {self.under.promql}"

    @property
    def asks(self) -> tuple[Series, ...]:
        return (self.over.series, self.under.series)

    def values(self, recording: Recording) -> Values:
        both = zip(self.over.values(recording), self.under.values(recording), strict=True)
        return [over / under if over is not None and under else None for over, under in both]


@dataclass(frozen=True)
class Quantile:
    """Of what a histogram has observed lately. Its series are the buckets."""

    q: float
    series: Series

    @property
    def promql(self) -> str:
        return f"histogram_quantile({self.q}, sum by (le) (rate({self.series}[{WINDOW}])))"

    @property
    def asks(self) -> tuple[Series, ...]:
        return (self.series,)

    def values(self, recording: Recording) -> Values:
        buckets = {
            float(LE.findall(name)[0]): _rates(values, recording.at)
            for name, values in self.series.of(recording).items()
        }
        return [
            quantile(self.q, {le: rates[scrape] or 0.0 for le, rates in buckets.items()})
            for scrape in range(len(recording.at))
        ]


class Reading(NamedTuple):
    before: float | None
    then: float | None


def reading(values: Sequence[float | None], recording: Recording) -> Reading:
    """Return the medians before the incident and of its second half, when it has taken its course.

    `values` may end earlier than the recording.
    """
    middle = (recording.began + recording.ended) / 2
    timed = [*zip(recording.at, values, strict=False)]
    return Reading(
        _median([value for at, value in timed if at < recording.began]),
        _median([value for at, value in timed if middle <= at < recording.ended]),
    )


def _median(values: Sequence[float | None]) -> float | None:
    """None where there is none for most of the time."""
    there = [value for value in values if value is not None]
    return median(there) if 2 * len(there) > len(values) else None


def _rates(values: Values, at: Sequence[float]) -> Values:
    return [_rate(values, at, scrape) for scrape in range(len(at))]


def _rate(values: Values, at: Sequence[float], scrape: int) -> float | None:
    """Over the last intervals; None where a scrape of them is missing, or the process has begun anew."""
    seen = [value for value in values[max(scrape - STEPS, 0) : scrape + 1] if value is not None]
    if len(seen) <= STEPS or any(later < earlier for earlier, later in pairwise(seen)):
        return None
    return (seen[-1] - seen[0]) / (at[scrape] - at[scrape - STEPS])


def _sum(rates: Sequence[float | None]) -> float | None:
    there = [rate for rate in rates if rate is not None]
    return sum(there) if there else None
