"""What a teacher says to a lab, from workshop/teacher.md, where it stands for those who have no slides."""

import re
from typing import NamedTuple

from markdown_it import MarkdownIt
from markupsafe import Markup

HEAD = "| lab | say |"
ROW = re.compile(r"^\| (\d+) \| (.+) \| (.+) \|$", re.MULTILINE)


class Note(NamedTuple):
    say: Markup
    mistake: Markup
    """A usual wrong answer, and why."""


def notes(page: str) -> dict[int, list[Note]]:
    """Return the rows of the page's table, by lab."""
    inline = MarkdownIt("commonmark", {"html": False}).renderInline
    found: dict[int, list[Note]] = {}
    for lab, *cells in ROW.findall(page[page.index(HEAD) :]):
        say, mistake = (Markup(inline(cell)) for cell in cells)  # noqa: S704 - Markdown that takes no HTML
        found.setdefault(int(lab), []).append(Note(say, mistake))
    return found
