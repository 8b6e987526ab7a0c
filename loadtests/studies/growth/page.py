"""docs/growth.md: two plots and a table of each series, from the raw file, and what is said about them.

The text below a series is the file SERIES.md beside the raw file, written by hand after a run.
"""

from collections.abc import Sequence
from pathlib import Path

from loadtests.analysis.results import RESULTS
from loadtests.analysis.summary import per_thousand, server_per_thousand
from loadtests.report.markdown import table
from loadtests.report.numbers import number
from loadtests.studies.growth.point import Point
from loadtests.studies.growth.series import SERIES
from loadtests.studies.study import Raw, measured_on

WORDS = RESULTS / "growth"
CHART = """```mermaid
---
config:
  themeVariables:
    xyChart:
      plotColorPalette: "#d55e00"
---
xychart-beta
    title "{title}"
    x-axis "{x}" [{axis}]
    y-axis "milliseconds"
    line [{curve}]
```"""
PROCESSES = ("app", "worker", "scheduler", "mysql", "redis", "generator")


def render(raw: Raw, words: Path = WORDS) -> str:
    sections = "\n\n".join(_series(name, raw[name]["values"], words) for name in SERIES if name in raw)
    return f"""# How cost grows

One thing is varied at a time. The model is open: requests come at a fixed rate, whether or not the ones
before were answered, and a latency counts from when a request was due. The knee is the highest rate that a
twin keeps up with. The rates below are shares of the knees of [RESULTS.md](../RESULTS.md) at the time, unless
`--knees` named others. Arrivals are random, so what was offered differs a little from the share.

Each point is a fresh twin on fresh servers, which share all cores but the generator's. CPU is counted until
the last count is in MySQL, so digest and flush are in it. Every event is audited. There is one trial per
point: a point that stands out alone may be a hiccup of the machine.

{sections}

{measured_on("growth", raw)}"""


def _series(name: str, points: Sequence[Point], words: Path) -> str:
    series = SERIES[name]
    blocks = [f"## {series.title}", series.about, *_charts(name, points), _table(series.axis, points)]
    if (said := words / f"{name}.md").exists():
        blocks.append(said.read_text().strip())
    return "\n\n".join(blocks)


def _charts(name: str, points: Sequence[Point]) -> list[str]:
    """Return the plots of the points that are valid and have a p95: Mermaid has no gaps."""
    drawn = [(point, p95) for point in points if point["valid"] and (p95 := p95_of(point)) is not None]
    if not drawn:
        return ["No point is valid, so there is no plot."]
    series, axis = SERIES[name], ", ".join(f'"{point["x"]:,}"' for point, _ in drawn)
    costs = [server_per_thousand(point) or 0.0 for point, _ in drawn]
    p95s, cpu = ", ".join(f"{p95:.1f}" for _, p95 in drawn), ", ".join(f"{cost:.3f}" for cost in costs)
    return [
        CHART.format(title=f"{what} over {series.axis}", x=series.axis, axis=axis, curve=curve)
        for what, curve in (("p95", p95s), ("CPU per event", cpu))
    ]


def _table(axis: str, points: Sequence[Point]) -> str:
    processes = [each for each in PROCESSES if any(each in point["cpu_seconds"] for point in points)]
    heads = [axis, "offered/s", "requests", "p50 ms", "p95 ms", "failed", "CPU-ms per event, servers"]
    rows = [
        [
            f"{point['x']:,}",
            number(point["level"]["offered_rps"], 0),
            f"{point['level']['acknowledged']:,}",
            *(number((point["level"]["due_latency_ms"] or {}).get(name), 1) for name in ("p50", "p95")),
            f"{sum(point['level']['failed'].values()):,}",
            number(server_per_thousand(point) or 0.0, 3),
            *(number(per_thousand(point).get(process), 3) for process in processes),
            f"{point['reconcile']['lost']:,}",
            "; ".join(point["invalid_reasons"]),
        ]
        for point in points
    ]
    return table([*heads, *processes, "lost", "left out of the plots, and why"], rows)


def p95_of(point: Point) -> float | None:
    return (point["level"]["due_latency_ms"] or {}).get("p95")
