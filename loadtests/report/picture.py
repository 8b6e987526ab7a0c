"""docs/images/p95.svg: the README's picture, p95 over users, both axes logarithmic.

Plain SVG, for which no package is needed. It brings its own background, so that it reads on any page, and a
dark one where the reader's system is dark.
"""

from collections.abc import Sequence
from math import ceil, floor, log10
from xml.sax.saxutils import escape

from loadtests.analysis.results import Results
from loadtests.analysis.summary import ends, level_ids, level_percentile, profiles, users_of
from loadtests.load.subjects import FLOOR, SUBJECTS, Style
from loadtests.report.numbers import milliseconds

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 74, 500, 56, 340
HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>{title}</title>
<desc>{about}</desc>
<style>
  text {{ font: 17px system-ui, sans-serif; fill: #24292f; }}
  .back {{ fill: #ffffff; }}
  .grid {{ stroke: #d0d7de; }}
  @media (prefers-color-scheme: dark) {{
    text {{ fill: #e6edf3; }}
    .back {{ fill: #0d1117; }}
    .grid {{ stroke: #30363d; }}
  }}
</style>
<rect class="back" width="{width}" height="{height}" rx="6"/>"""

Point = tuple[int, float]
"""Users, and a p95 in milliseconds."""


class Axis:
    """A logarithmic axis: where on the picture a value is."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self._low, self._start = log10(low), start
        self._scale = (end - start) / (log10(high) - self._low)

    def __call__(self, value: float) -> float:
        return self._start + (log10(value) - self._low) * self._scale


def curves(results: Results) -> dict[str, list[Point]]:
    """Return the curves of the first and the last that were measured, and of the floor."""
    levels = level_ids(results, profiles(results)[0])
    found = {
        name: [
            (users_of(results, level), p95)
            for level in levels
            if (p95 := level_percentile(results, name, level, "p95"))
        ]
        for name in (*(ends(results) or ()), FLOOR.name)
    }
    return {name: points for name, points in found.items() if points}


def about(results: Results) -> str:
    """Return the picture in words, for those who can't see it."""
    ends_of = [
        f"{name} from {milliseconds(points[0][1])} ms at {points[0][0]} users to "
        f"{milliseconds(points[-1][1])} ms at {points[-1][0]}"
        for name, points in curves(results).items()
    ]
    return f"p95 over users, on logarithmic axes: {'; '.join(ends_of)}."


def draw(results: Results) -> str:
    """Return the picture; the same results always give the same text."""
    drawn = curves(results)
    users = sorted({each for points in drawn.values() for each, _ in points}) or [1, 10]
    values = [p95 for points in drawn.values() for _, p95 in points] or [1.0, 10.0]
    decades = range(floor(log10(min(values))), ceil(log10(max(values))) + 1)
    x = Axis(users[0], max(users[-1], users[0] + 1), LEFT, RIGHT)
    y = Axis(10.0 ** decades[0], 10.0 ** max(decades[-1], decades[0] + 1), BOTTOM, TOP)
    return "\n".join(
        [
            HEAD.format(width=WIDTH, height=HEIGHT, title="p95 over users", about=escape(about(results))),
            _text(16, 30, "p95 in milliseconds, each step ten times the one below"),
            *(line for decade in decades for line in _grid(y(10.0**decade), f"{10.0**decade:,g}")),
            *(_text(x(each), BOTTOM + 26, f"{each:,}", "middle") for each in users),
            _text((LEFT + RIGHT) / 2, BOTTOM + 50, "users", "middle"),
            *(line for name, points in drawn.items() for line in _curve(name, points, x, y)),
            "</svg>\n",
        ]
    )


def _grid(y: float, label: str) -> list[str]:
    return [
        f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>',
        _text(LEFT - 10, y + 6, label, "end"),
    ]


def _curve(name: str, points: Sequence[Point], x: Axis, y: Axis) -> list[str]:
    style = FLOOR.style if name == FLOOR.name else SUBJECTS[name].style
    places = [(x(users), y(p95)) for users, p95 in points]
    path = " ".join(f"{left:.1f},{top:.1f}" for left, top in places)
    last_left, last_top = places[-1]
    return [
        f'<polyline points="{path}" fill="none" stroke="{style.color}" stroke-width="3"{_dash(style)}/>',
        *(f'<circle cx="{left:.1f}" cy="{top:.1f}" r="4.5" fill="{style.color}"/>' for left, top in places),
        _text(last_left + 12, last_top, name),
        _text(last_left + 12, last_top + 20, f"{milliseconds(points[-1][1])} ms"),
    ]


def _dash(style: Style) -> str:
    return "" if style.dash == "solid" else f' stroke-dasharray="{" ".join(map(str, style.dash))}"'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
