"""The few pieces of Markdown that RESULTS.md is made of."""

from collections.abc import Iterable, Sequence

COLOURS = "#d55e00, #0072b2, #999999"
"""Orange, blue, grey: told apart by colour-blind readers too."""
CHART = """```mermaid
---
config:
  themeVariables:
    xyChart:
      plotColorPalette: "{colours}"
---
xychart-beta
    title "{title}"
    x-axis "{x}" [{axis}]
    y-axis "milliseconds"
{lines}
```"""


def table(heads: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def chart(
    title: str,
    axis: Sequence[int | str],
    curves: Iterable[Sequence[float]],
    x: str = "users",
    digits: int = 1,
) -> str:
    """Return a Mermaid chart of up to three curves, each with a value for every point of the axis."""
    lines = "\n".join(f"    line [{', '.join(f'{value:.{digits}f}' for value in curve)}]" for curve in curves)
    points = ", ".join(f'"{each}"' if isinstance(each, str) else str(each) for each in axis)
    return CHART.format(colours=COLOURS, title=title, x=x, axis=points, lines=lines)


def short(value: float | None) -> str:
    """Return the number with as many digits as are worth reading."""
    return number(value, 0 if value is None or value >= 100 else 2 if value >= 1 else 3)


def factor(ratio: float) -> str:
    """Return a ratio of two measurements, with no more digits than they are good for."""
    return f"{ratio:,.{0 if ratio >= 100 else 1 if ratio >= 10 else 2}f}"


def number(value: float | None, digits: int) -> str:
    """Return the number as text, "-" where there is none."""
    return "-" if value is None else f"{value:,.{digits}f}"
