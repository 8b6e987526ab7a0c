"""Lab 9's recorder on the real twins, and its queries in the real Prometheus."""

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from loadtests.bootstrap import find_program
from loadtests.labs import record
from loadtests.labs.causes import CAUSES, FLUSH_AGE, LINES, Line
from loadtests.labs.queries import Rate, reading
from loadtests.labs.recording import Recording, read, recorded, write
from loadtests.labs.replay import samples
from loadtests.live.counts import STEPS
from loadtests.stack import Stack, process
from loadtests.stack.roles import answers
from loadtests.stack.servers import LOOPBACK, free_port
from tests.parts import alone, wait_until

APART = 600.0
"""Seconds between two recordings in Prometheus: more than it looks back."""
Ask = Callable[[str, float], list[float]]


def test_an_incident_of_real_twins_is_recorded_with_every_metric(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named is what the twins show: without a series of that name a gauge has no value."""
    for name, seconds in {"WARM_UP": 1.0, "BEFORE": 2.0, "DURING": 3.0, "AFTER": 0.5, "EVERY": 0.25}.items():
        monkeypatch.setattr(record, name, seconds)
    with alone(stack):
        found = record.record(stack, "scheduler")
    write(found, tmp_path / "found.json")
    assert read(tmp_path / "found.json") == found
    for line in LINES:
        assert all(series.of(found) for series in line.query.asks), line.title
        assert any(value is not None for value in line.query.values(found)), line.title
    assert [
        scrape for scrape, _ in enumerate(found.at) if found.exposition("scheduler", scrape) is None
    ] != []
    before, then = reading(FLUSH_AGE.query.values(found), found)
    assert (then or 0) > (before or 0) > 0
    assert len([*samples(found, "")]) == len(found.at)


def exposition(recording: Recording, begin: float) -> Iterator[str]:
    """As `promtool` takes it."""
    for job, series in recording.series.items():
        for name, values in series.items():
            own, _, labels = name.rstrip("}").partition("{")
            for at, value in zip(recording.at, values, strict=True):
                if value is not None:
                    yield f'{own}{{{labels}{"," if labels else ""}job="{job}"}} {value} {begin + at:.3f}\n'


@contextmanager
def prometheus(folder: Path, lines: Iterator[str]) -> Iterator[Ask]:
    """One that holds these; `Ask` takes a query and a time."""
    text = folder / "recordings.txt"
    text.write_text("".join([*lines, "# EOF\n"]))
    (folder / "prometheus.yml").write_text("{}")
    tool, server = find_program("promtool"), find_program("prometheus")
    assert tool
    assert server
    data, log, port = folder / "data", folder / "log", free_port()
    make = process.spawn(
        [tool, "tsdb", "create-blocks-from", "openmetrics", str(text), str(data)], log, {}, None
    )
    assert make.wait() == 0, log.read_text()
    options = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={data}"]
    child = process.spawn([server, *options, f"--web.listen-address={LOOPBACK}:{port}"], log, {}, None)

    def ask(query: str, at: float) -> list[float]:
        words = urlencode({"query": query, "time": f"{at:.3f}"})
        with urlopen(f"http://{LOOPBACK}:{port}/api/v1/query?{words}", timeout=10) as answer:
            found: Any = json.load(answer)["data"]["result"]
        every = [float(series["value"][1]) for series in found]
        return [value for value in every if not math.isnan(value)]

    try:
        wait_until(lambda: answers(LOOPBACK, port, "/-/ready"))
        yield ask
    finally:
        process.kill(child)


def begins(line: Line, recording: Recording, scrape: int) -> bool:
    """Whether it is the rate of a counter that was at 0: there Prometheus guesses what was before."""
    if not isinstance(line.query, Rate):
        return False
    every = line.query.series.of(recording).values()
    return any(values[scrape - STEPS] == 0 != values[scrape] for values in every)


def test_prometheus_says_the_same_of_every_query(tmp_path: Path) -> None:
    """While an incident has taken its course."""
    began = time.time() - (len(CAUSES) + 1) * APART
    starts = {name: round(began + number * APART, 3) for number, name in enumerate(CAUSES)}
    lines = (line for name, start in starts.items() for line in exposition(recorded(name), start))
    with prometheus(tmp_path, lines) as ask:
        for (name, start), line in product(starts.items(), LINES):
            found = recorded(name)
            values = line.query.values(found)
            middle = (found.began + found.ended) / 2
            course = [scrape for scrape, at in enumerate(found.at) if middle <= at < found.ended]
            for scrape in course[::3]:
                if begins(line, found, scrape):
                    continue
                said = ask(line.query.promql, start + found.at[scrape])
                value = values[scrape]
                here = [] if value is None else [pytest.approx(value, rel=0.02, abs=1e-6)]
                assert said == here, (name, line.query.promql, scrape)
