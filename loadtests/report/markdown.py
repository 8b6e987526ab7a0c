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
