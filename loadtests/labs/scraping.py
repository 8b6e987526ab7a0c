"""What the processes of both twins answer to scrapes, as the series of a recording."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from loadtests.labs.causes import LINES
from loadtests.labs.queries import LE
from loadtests.labs.recording import DIGITS, Values
from loadtests.live.counts import is_wanted
from loadtests.live.sampler import TIMEOUT
from loadtests.stack.scrape import fetch

Answer = dict[str, float]
"""Values by name and labels."""


class Scraper:
    """Asks everybody at once, whenever it is told to."""

    def __init__(self, addresses: dict[str, str]) -> None:
        self.at: list[float] = []
        """When, in seconds after it was made."""
        self.answers: dict[str, list[Answer]] = {job: [] for job in addresses}
        self._addresses = addresses
        self._zero = time.monotonic()

    def now(self) -> float:
        return round(time.monotonic() - self._zero, 3)

    def scrape(self) -> None:
        self.at.append(self.now())
        with ThreadPoolExecutor(len(self._addresses)) as pool:
            texts = pool.map(lambda address: fetch(address, TIMEOUT), self._addresses.values())
            for job, text in zip(self._addresses, texts, strict=True):
                self.answers[job].append(_kept(job, text or ""))


@contextmanager
def scraping(addresses: dict[str, str], every: float) -> Iterator[Scraper]:
    """Give one that scrapes each so many seconds, until the end of the block."""
    scraper, end = Scraper(addresses), threading.Event()

    def scrape() -> None:
        while not end.wait(max(len(scraper.at) * every - scraper.now(), 0)):
            scraper.scrape()

    with ThreadPoolExecutor(1) as pool:
        scraped = pool.submit(scrape)
        try:
            yield scraper
        finally:
            end.set()
        scraped.result()


def _kept(job: str, text: str) -> Answer:
    """What lab 9 or the live page asks for."""
    asked = [series for line in LINES for series in line.query.asks]
    told = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {
        name: round(float(value), DIGITS)
        for name, _, value in told
        if is_wanted(name) or any(series.has(job, name) for series in asked)
    }


def in_series(answers: list[Answer]) -> dict[str, Values]:
    """Without the buckets that no quantile needs."""
    names = dict.fromkeys(name for answer in answers for name in answer)
    series = {name: [answer.get(name) for answer in answers] for name in names}
    spare = {name for histogram in _histograms(series) for name in _spare(histogram)}
    return {name: values for name, values in series.items() if name not in spare}


def _histograms(series: dict[str, Values]) -> list[dict[str, Values]]:
    """Return the buckets of each, from the lowest on."""
    found: dict[str, dict[float, str]] = {}
    for name in series:
        for le in LE.findall(name):
            found.setdefault(LE.sub("", name), {})[float(le)] = name
    return [{name: series[name] for _, name in sorted(buckets.items())} for buckets in found.values()]


def _spare(histogram: dict[str, Values]) -> list[str]:
    """Return those into which nothing fell, but for the lower bounds of those into which something did."""
    names, every = [*histogram], [*histogram.values()]
    below: list[Values] = [[0.0] * len(every[0]), *every]
    filled = [
        len({up - low for up, low in zip(ups, lows, strict=True) if up is not None and low is not None}) > 1
        for ups, lows in zip(every, below, strict=False)
    ]
    last = len(names) - 1
    return [name for at, name in enumerate(names) if not filled[at] and at < last and not filled[at + 1]]
