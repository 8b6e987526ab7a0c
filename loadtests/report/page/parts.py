"""What the page is made of: sections of panels and tables. Charts have one shape, which page.js draws."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal, NotRequired, TypedDict

NUMBER = re.compile(r"-|[\d,.]+%?")


class Axis(TypedDict):
    name: str
    scale: str
    """category, value, log, or percentile: then a value is 1 / (1 - p), on a log axis."""


class Series(TypedDict):
    name: str
    style: str
    """Of whom or of what: common.js has a colour, a line and a symbol for each."""
    values: list[float | None]
    low: NotRequired[list[float | None]]
    high: NotRequired[list[float | None]]


class Mark(TypedDict):
    at: float
    """Where on the x axis."""
    text: str


class Chart(TypedDict):
    title: str
    kind: str
    """line, points, or bar: lying, stacked."""
    x: Axis
    y: Axis
    at: list[float] | list[str]
    """Where on the x axis each series has its values; for bars, what each bar is."""
    series: list[Series]
    marks: list[Mark]
    level: NotRequired[float]
    """Of a line across, that values are compared with."""


class View(TypedDict):
    name: str
    charts: list[Chart]


class Panel(TypedDict):
    """Charts of one view at a time; with several views, a control chooses."""

    kind: Literal["panel"]
    id: str
    title: str | None
    control: str
    default: int
    views: list[View]


class Table(TypedDict):
    kind: Literal["table"]
    title: str | None
    heads: list[str]
    rows: list[list[str]]
    numeric: list[bool]
    """Whether a column holds numbers, and nothing else but dashes."""
    folded: bool
    note: str
    """What is not in the rows, and why."""


class Section(TypedDict):
    id: str
    title: str
    note: str
    """What it shows, and how a bad value looks."""
    parts: list[Panel | Table]


def chart(title: str, x: Axis, y: Axis, at: list[float] | list[str], series: list[Series]) -> Chart:
    return {"title": title, "kind": "line", "x": x, "y": y, "at": at, "series": series, "marks": []}


def bars(title: str, amount: str, of: Mapping[str, Mapping[str, float]]) -> Chart:
    """Return a bar for each key, made of its parts; a part that a bar has not is nothing."""
    parts = list(dict.fromkeys(part for bar in of.values() for part in bar))
    series: list[Series] = [
        {"name": part, "style": part, "values": [rounded(bar.get(part)) for bar in of.values()]}
        for part in parts
    ]
    drawn = chart(title, axis("", "category"), axis(amount, "value"), list(of), series)
    drawn["kind"] = "bar"
    return drawn


def axis(name: str, scale: str) -> Axis:
    return {"name": name, "scale": scale}


def panel(
    name: str, views: Sequence[View], title: str | None = None, control: str = "", shown: str = ""
) -> list[Panel | Table]:
    """Return the panel as the only part, or no part where no view has anything to draw.

    `shown` is the name of the view to begin with; the first one where it has nothing to draw.
    """
    kept = [view for view in views if any(map(has_values, view["charts"]))]
    if not kept:
        return []
    names = [view["name"] for view in kept]
    first = names.index(shown) if shown in names else 0
    return [
        {"kind": "panel", "id": name, "title": title, "control": control, "default": first, "views": kept}
    ]


def has_values(drawn: Chart) -> bool:
    return any(value is not None for series in drawn["series"] for value in series["values"])


def table(
    heads: list[str], rows: list[list[str]], title: str | None = None, folded: bool = False, note: str = ""
) -> Table:
    numeric = [all(map(NUMBER.fullmatch, filter(None, column))) for column in zip(*rows, strict=True)]
    return {
        "kind": "table",
        "title": title,
        "heads": heads,
        "rows": rows,
        "numeric": numeric,
        "folded": folded,
        "note": note,
    }


def rounded(value: float | None) -> float | None:
    """Return four significant digits: what a reader, and the size of the page, can do with."""
    return None if value is None else float(f"{value:.4g}")
