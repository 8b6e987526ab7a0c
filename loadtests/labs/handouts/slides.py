"""`python -m loadtests.labs.handouts.slides`: the labs as slides, with what was measured on this machine.

One file of reveal.js that needs no network. What progress.json holds is shown as text, whoever wrote it.
"""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from loadtests.bootstrap import ROOT
from loadtests.labs.__main__ import LABS
from loadtests.labs.handouts import folder
from loadtests.labs.handouts.figure import Slate
from loadtests.labs.handouts.notes import Note, notes
from loadtests.labs.lab import Lab, Measured
from loadtests.labs.progress import Progress
from loadtests.load.files import write_whole
from loadtests.load.subjects import ASYNC, NAIVE, SUBJECTS
from loadtests.stack import StackError

FILE = "slides.html"
TEACHER = ROOT / "workshop" / "teacher.md"
HERE = Path(__file__).parent
FAILED = 1
STYLES = (*("vendor/reset.css", "vendor/reveal.css", "vendor/serif.css"), "slides.css")
SCRIPTS = ("vendor/reveal.js", "vendor/notes.js", "slides.js")


class Found(NamedTuple):
    """What there is to show of a lab that was done."""

    figure: Slate
    setting: str
    """What the knob was, with its value."""
    truth: str
    """The answer to the question."""
    why: list[str]
    """Paragraphs."""


class Chapter(NamedTuple):
    lab: Lab
    notes: list[Note]
    found: Found | None
    """None: nobody has done it yet."""


def render(progress: Progress, labs: Iterable[Lab], teacher: str) -> str:
    """Return the deck; `teacher` is the text of teacher.md. The same progress always gives the same deck."""
    templates = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    said = notes(teacher)
    deck = templates.get_template("slides.html").render(
        chapters=[Chapter(lab, said.get(lab.number, []), result_of(lab, progress)) for lab in labs],
        colors={twin: SUBJECTS[twin].style.color for twin in (NAIVE, ASYNC)},
        styles=[_file(name) for name in STYLES],
        scripts=[_file(name) for name in SCRIPTS],
        paths=_file("paths.svg"),
    )
    return deck.encode(errors="replace").decode()  # JSON can hold half of a character, a file can't


def _file(name: str) -> Markup:
    return Markup((HERE / name).read_text(encoding="utf-8"))  # noqa: S704 - a file of this folder


def result_of(lab: Lab, progress: Progress) -> Found | None:
    state = progress.of(lab.number)
    if state.get("measured") is None:
        return None
    try:
        return _shown(lab, state["measured"], state.get("knob", lab.knob.default))
    except Exception as error:  # noqa: BLE001 - whatever comes of values that an earlier version has left
        print(f"slides: what is kept of lab {lab.number} can't be shown: {error!r}", file=sys.stderr)
        return None


def _shown(lab: Lab, measured: Measured, knob: float) -> Found:
    slate = Slate()
    lab.show(slate, measured)
    return Found(
        figure=slate,
        setting=f"{lab.knob.about}; here {knob:g} {lab.knob.unit}".strip(),
        truth=f"{short(lab.predict.truth(measured))} {lab.predict.unit}".strip(),
        why=lab.explain(measured).split("\n"),
    )


def short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def main(arguments: list[str] | None = None) -> int:
    try:
        where = folder("slides", arguments)
        path = where / FILE
        write_whole(path, render(Progress(where), LABS.values(), TEACHER.read_text(encoding="utf-8")))
    except (StackError, OSError) as error:
        print(f"slides: {error}", file=sys.stderr)
        return FAILED
    print(f"Written: {os.path.relpath(path)}. Open it in a browser; S shows what to say, F fills the screen.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
