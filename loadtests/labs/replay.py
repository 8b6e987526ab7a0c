"""A recorded incident once more, faster: on the live page, and as a table of small lines in the terminal."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from time import sleep

from rich.console import Console
from rich.live import Live
from rich.table import Table

from loadtests.labs.causes import LINES, Line
from loadtests.labs.lab import Bench
from loadtests.labs.queries import reading
from loadtests.labs.recording import Recording, Values
from loadtests.live.charts import CHARTS, WORKER, Now
from loadtests.live.counts import Growth, Window, parse
from loadtests.live.feed import Feed
from loadtests.live.sampler import EVERY, Sample
from loadtests.live.server import serve
from loadtests.load.pace import PACE
from loadtests.load.subjects import ASYNC, TWINS
from shared.settings import variable

LEVELS = "▁▂▃▄▅▆▇█"
AT_ONCE = 2
"""Scrapes that share a character, the largest of them: a row has room in 80."""


@contextmanager
def replay(bench: Bench, console: Console, recording: Recording, about: str, speed: float) -> Iterator[None]:
    """Show it `speed` times as fast as it was. The page is there until the end of the block."""
    feed, port = Feed(), bench.live_port
    every = {line: line.query.values(recording) for line in LINES}
    with ExitStack() as served:
        try:
            url = served.enter_context(serve(port, feed, recording.flush_interval))
            bench.step(f"{about}, {speed:g} times as fast: {url}, and here")
        except OSError:
            bench.step(f"{about}, {speed:g} times as fast, here alone: port {port} is taken")
            bench.step(f"({variable('live_port')} moves the page; `make up` has one of its own)")
        with Live(console=console, auto_refresh=False) as live:
            for scrapes, sample in enumerate(samples(recording, about), 1):
                feed.add(sample)
                live.update(_picture(recording, about, every, scrapes), refresh=True)
                sleep(PACE * EVERY / speed)
        yield


def samples(recording: Recording, about: str) -> Iterator[Sample]:
    """What the live page's sampler made of these scrapes; its clock is 0:00 at the first.

    So what a browser still has of another incident is not before it.
    """
    midnight = datetime.now().replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    windows = {job: Window() for job in (*TWINS, WORKER)}
    for scrape, at in enumerate(recording.at):
        grown: dict[str, Growth] = {}
        gauges: dict[str, float] = {}
        for job, window in windows.items():
            text = recording.exposition(job, scrape)
            if text is None:
                window.clear()
                continue
            counters, found = parse(text)
            gauges = found if job == ASYNC else gauges
            if growth := window.add(at, counters):
                grown[job] = growth
        now = Now(grown, gauges, None)
        yield {
            "at": midnight + at,
            "running": [],
            "load": None,
            "audits": {},
            "step": f"{about}, replayed",
            "result": {"result": "The recording ends here."} if at == recording.at[-1] else None,
            "ingest": None,
            "charts": {name: chart(now) for name, chart in CHARTS.items()},
        }


def _picture(recording: Recording, about: str, every: dict[Line, Values], scrapes: int) -> Table:
    """As it is after so many scrapes."""
    table = Table(
        title=f"{about}: wrong from second {recording.began:.0f} to {recording.ended:.0f}",
        title_justify="left",
        caption="As high as the line's own largest value; blank: no value. Before and then: medians, then of "
        "its second half.",
        caption_justify="left",
    )
    table.add_column("", no_wrap=True)
    table.add_column(f"0 to {recording.at[-1]:.0f} s", no_wrap=True, width=-(-len(recording.at) // AT_ONCE))
    for head in ("before", "then"):
        table.add_column(head, justify="right", no_wrap=True, width=len("100.0 ms"))
    for line, values in every.items():
        most = max((value for value in values if value is not None), default=0.0)
        before, then = (shown(value, line.unit) for value in reading(values[:scrapes], recording))
        table.add_row(line.title, _spark(values[:scrapes], most or 1.0), before, then)
    return table


def _spark(values: Sequence[float | None], most: float) -> str:
    """From nothing to `most`; a blank where there is no value."""
    parts = [values[start : start + AT_ONCE] for start in range(0, len(values), AT_ONCE)]
    highest = [max((value for value in part if value is not None), default=None) for part in parts]
    top = len(LEVELS) - 1
    return "".join(" " if value is None else LEVELS[round(top * value / most)] for value in highest)


def shown(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    match unit:
        case "s":
            return f"{value:,.1f} s" if value >= 1 else f"{1_000 * value:,.1f} ms"
        case "%":
            return f"{100 * value:.0f} %"
        case _:
            return f"{value:,.0f}{unit}"
