"""The house stays as it is drawn: which part may import which. The picture is in docs/architecture.md."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtests.bootstrap import ROOT

PAGE = ROOT / "docs" / "architecture.md"
ENTRY = "loadtests"
"""What is started from outside: the modules at the top of loadtests/."""
GROUND = "loadtests.bootstrap"
"""Runs before any package is there; the others take from it where the repository and the programs are."""
MAY_IMPORT: dict[str, set[str]] = {
    "shared": set(),
    "naive_sync": {"shared"},
    "async_dedup": {"shared"},
    GROUND: set(),
    "loadtests.load": {"shared"},
    "loadtests.stack": {"loadtests.load", "async_dedup", "shared", GROUND},
    "loadtests.analysis": {"loadtests.load", GROUND},
    "loadtests.live": {"loadtests.stack", "loadtests.load", "shared", GROUND},
    "loadtests.trial": {
        *("loadtests.live", "loadtests.stack", "loadtests.analysis", "loadtests.load"),
        *("shared", GROUND),
    },
    "loadtests.labs": {
        *("loadtests.trial", "loadtests.live", "loadtests.stack", "loadtests.load"),
        *("async_dedup", "shared", GROUND),
    },
    "loadtests.report": {"loadtests.analysis", "loadtests.load", GROUND},
    ENTRY: {
        *("loadtests.trial", "loadtests.report", "loadtests.analysis", "loadtests.live"),
        *("loadtests.stack", "loadtests.load", "shared", GROUND),
    },
    "loadtests.studies": {
        *("loadtests.trial", "loadtests.report", "loadtests.analysis", "loadtests.live"),
        *("loadtests.stack", "loadtests.load", GROUND),
        *("naive_sync", "async_dedup", "shared"),
    },
    "grafana": {"shared", GROUND},
}
FRAMEWORKS = {"flask", "werkzeug", "gunicorn", "fastapi", "starlette", "uvicorn"}
PROCESSES = {"subprocess", "multiprocessing", "psutil"}
FORBIDDEN = {"shared": FRAMEWORKS, "loadtests.analysis": PROCESSES | FRAMEWORKS}
"""Packages of others, by who keeps away from them."""


def part_of(module: str) -> str:
    """Return the part that a module of this repository belongs to; "" for one of others."""
    found = [part for part in MAY_IMPORT if module == part or module.startswith(f"{part}.")]
    return max(found, key=len, default="")


def imported(source: str) -> Iterator[str]:
    """Yield every module that is named in an import, wherever it stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            # `from loadtests import bootstrap` names a module, too.
            yield from (f"{node.module}.{each.name}" for each in node.names)


def wrong_imports(path: Path, source: str) -> list[str]:
    own = part_of(".".join(path.with_suffix("").parts))
    away = FORBIDDEN.get(own, set())
    return [
        f"{path} imports {module}"
        for module in imported(source)
        if part_of(module) not in {"", own, *MAY_IMPORT[own]} or module.partition(".")[0] in away
    ]


def files() -> list[Path]:
    tops = {part.partition(".")[0] for part in MAY_IMPORT}
    return [path.relative_to(ROOT) for top in sorted(tops) for path in (ROOT / top).rglob("*.py")]


def test_nobody_imports_what_it_may_not() -> None:
    assert [wrong for path in files() for wrong in wrong_imports(path, (ROOT / path).read_text())] == []


def shown() -> dict[str, set[str]]:
    """Return MAY_IMPORT by the short names of docs/architecture.md, which tells of the ground in words."""
    names = {part: "entry" if part == ENTRY else part.removeprefix(f"{ENTRY}.") for part in MAY_IMPORT}
    return {
        names[part]: {names[each] for each in allowed - {GROUND}}
        for part, allowed in MAY_IMPORT.items()
        if part != GROUND
    }


def reached(arrows: dict[str, set[str]], starts: set[str]) -> set[str]:
    """Return all that can be reached from `starts`, and these."""
    seen, to_see = set[str](), starts
    while to_see:
        seen |= to_see
        to_see = set[str]().union(*(arrows[each] for each in to_see)) - seen
    return seen


def test_the_picture_has_the_arrows_without_a_way_round() -> None:
    arrows = shown()
    direct = {
        (part, each)
        for part, allowed in arrows.items()
        for each in allowed
        if each not in reached(arrows, allowed - {each})
    }
    drawn = re.findall(r"^    (\w+) --> (\w+)$", PAGE.read_text(), re.MULTILINE)
    assert sorted(drawn) == sorted(direct)
    named = set(re.findall(r"^    (\w+)\[", PAGE.read_text(), re.MULTILINE))
    assert named == set(arrows)


def test_the_page_tells_who_may_import_whom() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    assert {part: set(re.findall(r"`(\w+)`", cells)) for part, cells in rows} == shown()


def test_every_part_has_files() -> None:
    assert {part_of(".".join(path.with_suffix("").parts)) for path in files()} == set(MAY_IMPORT)


def test_it_runs_one_way() -> None:
    """No part can be reached from itself."""
    for part, allowed in MAY_IMPORT.items():
        assert part not in reached(MAY_IMPORT, allowed)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("naive_sync/ingest.py", "import async_dedup.ingest"),
        ("async_dedup/app.py", "from loadtests.load import workload"),
        ("shared/event.py", "from flask import request"),
        ("loadtests/analysis/pairs.py", "from loadtests.trial.trial import run_trial"),
        ("loadtests/analysis/pairs.py", "from loadtests import stack"),
        ("loadtests/analysis/stats.py", "import subprocess"),
        ("loadtests/report/terminal.py", "from loadtests.studies import study"),
        ("loadtests/load/client.py", "def f():\n    import loadtests.stack"),
        ("loadtests/bench.py", "from loadtests.studies.ladder.page import write"),
        ("loadtests/live/server.py", "from loadtests import bench"),
    ],
)
def test_a_wrong_import_is_found_wherever_it_stands(path: str, line: str) -> None:
    assert wrong_imports(Path(path), (ROOT / path).read_text()) == []
    assert wrong_imports(Path(path), f"{(ROOT / path).read_text()}\n{line}\n") != []


def test_loadtests_holds_at_its_top_only_what_is_started_from_outside() -> None:
    there = {path.name for path in (ROOT / "loadtests").iterdir() if path.is_file()}
    modules = {"__init__.py", "bench.py", "bootstrap.py", "compare.py", "demo.py", "locustfile.py", "play.py"}
    assert there == modules | {"Dockerfile"}
