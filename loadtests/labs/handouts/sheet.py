"""`python -m loadtests.labs.handouts.sheet`: workshop/sheet.md as one page of paper."""

import os
import sys
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from markdown_it import MarkdownIt
from markupsafe import Markup

from loadtests.bootstrap import ROOT
from loadtests.labs.handouts import folder
from loadtests.labs.handouts.chromium import NotPrinted, to_pdf
from loadtests.load.files import write_whole
from loadtests.stack import StackError

FILE = "sheet.pdf"
SOURCE = ROOT / "workshop" / "sheet.md"
HERE = Path(__file__).parent
FAILED = 1
LINKS = ("link_open", "link_close")


def to_html(text: str) -> str:
    """Return the sheet as a page; of its links only the words, for on paper they lead nowhere."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    for each in LINKS:
        markdown.add_render_rule(each, _nothing)
    templates = Environment(loader=FileSystemLoader(HERE), autoescape=True)
    return templates.get_template("sheet.html").render(
        body=Markup(markdown.render(text))  # noqa: S704 - Markdown that takes no HTML
    )


def _nothing(*_: object) -> str:
    return ""


def main(arguments: list[str] | None = None) -> int:
    try:
        path = folder("sheet", arguments) / FILE
        page = path.with_suffix(".html")
        write_whole(page, to_html(SOURCE.read_text(encoding="utf-8")))
        to_pdf(page, path)
    except NotPrinted as error:
        print(f"sheet: {error}\nOr print {os.path.relpath(page)} from any other browser.", file=sys.stderr)
        return FAILED
    except (StackError, OSError) as error:
        print(f"sheet: {error}", file=sys.stderr)
        return FAILED
    print(f"Written: {os.path.relpath(path)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
