"""What a lab shows in the terminal, for a page: tables, and lines of text."""

import re
from io import StringIO
from typing import Any, NamedTuple

from rich.console import Console
from rich.errors import MarkupError
from rich.table import Column, Table

BAR = re.compile(r"( *)(#+|\|)")
WIDTH = 100
"""Characters of a line that is no table."""
CUT, WRAPPED = 40, 60
"""Characters after which a cell is cut off, or goes on in another line; a bar is as wide as the first."""


class Bar(NamedTuple):
    """What a cell draws with characters; all three are numbers of them."""

    start: int
    length: int
    whole: int
    """The width of its column."""


class Head(NamedTuple):
    name: str
    looks: str
    """Classes of its column: "number" stands on the right, "cut" has no second line."""


Cell = str | Bar


class Grid(NamedTuple):
    title: str
    heads: list[Head]
    rows: list[tuple[Cell, ...]]

    def lines(self) -> int:
        return 2 + sum(
            max(_lines(cell, head) for cell, head in zip(row, self.heads, strict=True)) for row in self.rows
        )

    def signs(self) -> int:
        """Return how wide it is, with two characters between columns."""
        columns = zip(*([head.name for head in self.heads], *self.rows), strict=True)
        return sum(
            2 + max(_signs(cell, head) for cell in column)
            for column, head in zip(columns, self.heads, strict=True)
        )


def _lines(cell: Cell, head: Head) -> int:
    return 1 if isinstance(cell, Bar) or "cut" in head.looks else 1 + len(cell) // WRAPPED


def _signs(cell: Cell, head: Head) -> int:
    return CUT if isinstance(cell, Bar) else min(len(cell), CUT if "cut" in head.looks else WRAPPED)


class Slate(Console):
    """Keeps what is printed, as text without markup, instead of showing it."""

    def __init__(self) -> None:
        super().__init__(file=StringIO(), width=WIDTH, force_terminal=False)
        self.parts: list[Grid | str] = []

    def print(self, *objects: Any, **_: Any) -> None:
        self.parts += [self._grid(each) if isinstance(each, Table) else self._plain(each) for each in objects]

    def lines(self) -> int:
        return sum(part.lines() if isinstance(part, Grid) else _wrapped(part) for part in self.parts)

    def signs(self) -> int:
        return max((part.signs() for part in self.parts if isinstance(part, Grid)), default=1)

    def _grid(self, table: Table) -> Grid:
        heads = [Head(self._plain(column.header), _looks(column)) for column in table.columns]
        rows = zip(*(self._cells(column) for column in table.columns), strict=True)
        return Grid(self._plain(table.title or ""), heads, list(rows))

    def _cells(self, column: Column) -> list[Cell]:
        texts = [self._plain(cell) for cell in column.cells]
        drawn = [BAR.fullmatch(text) if column.width else None for text in texts]
        return [
            Bar(len(found[1]), len(found[2]), column.width or 0) if found else text
            for text, found in zip(texts, drawn, strict=True)
        ]

    def _plain(self, shown: Any) -> str:
        with self.capture() as captured:
            try:
                super().print(shown, soft_wrap=True)
            except MarkupError:  # what was measured holds brackets
                super().print(shown, soft_wrap=True, markup=False)
        return captured.get().rstrip("\n")


def _wrapped(text: str) -> int:
    return sum(1 + len(line) // WIDTH for line in text.split("\n"))


def _looks(column: Column) -> str:
    return " ".join(
        name for name, does in (("number", column.justify == "right"), ("cut", column.no_wrap)) if does
    )
