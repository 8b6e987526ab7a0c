"""`python -m tests.drawing`: draw the dashboards with Grafana's own components, from a real run of the twins.

grafana/frontend/page.tsx draws, in a headless Chromium without a network. A picture of each dashboard goes to
`.run/drawn/`. Fails where the page complains, or where a panel stays empty.
"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import ConsoleMessage, Error, Page, Route

from loadtests.bootstrap import ROOT
from loadtests.load.profiles import RAMP
from loadtests.stack import StackError
from loadtests.trial.generator import TrialFailed
from tests.browser import chromium
from tests.conftest import free_settings
from tests.grafana.test_dashboards import NATIVE, PATHS, load, substituted
from tests.observed import Observed, observe

FRONT = ROOT / "grafana" / "frontend"
ADDRESS = "http://dashboards.test/"
PACKAGES = FRONT / "node_modules"
FONT = PACKAGES / "@fontsource" / "inter" / "files"
FILES = {
    "page.html": FRONT / "page.html",
    "page.js": FRONT / "generated" / "page.js",
    "page.css": FRONT / "generated" / "page.css",
    "public/fonts/inter/Inter-Regular.woff2": FONT / "inter-latin-400-normal.woff2",
    "public/fonts/inter/Inter-Medium.woff2": FONT / "inter-latin-500-normal.woff2",
}
ICONS, CODE_FONTS = "public/img/icons/", "public/fonts/roboto/"
PICTURES = ROOT / ".run" / "drawn"
SETTINGS = free_settings().model_copy(update={"flush_interval": 5.0, "rate_limit": 100_000.0})


def asked(observed: Observed, path: Path) -> dict[str, Any]:
    """Return what the page draws: a dashboard, the span of the run, the answers to each panel's queries."""
    board = load(path)
    board["panels"] = [panel for panel in board["panels"] if all(map(_native, _targets(panel)))]
    span = {"from": observed.began, "to": observed.ended}
    answers = {
        panel["id"]: [_answer(observed, each) for each in _targets(panel)] for panel in board["panels"]
    }
    return {"board": board, **span, "answers": answers}


def _targets(panel: dict[str, Any]) -> list[dict[str, Any]]:
    return panel.get("targets") or []


def _native(target: dict[str, Any]) -> bool:
    return NATIVE.match(target["expr"]) is not None


def _answer(observed: Observed, target: dict[str, Any]) -> list[dict[str, Any]]:
    expr = substituted(target["expr"], observed.ended - observed.began)
    if not target["instant"]:
        return observed.range(expr)
    found = observed.get("query", query=expr, time=observed.ended)["result"]
    return [{"metric": series["metric"], "values": [series["value"]]} for series in found]


@contextmanager
def opened() -> Iterator[tuple[Page, list[str]]]:
    """An empty page, and what it complains about."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1410, "height": 900})
        told: list[str] = []
        page.on("console", lambda message: told.extend(_errors(message)))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.route("**", _serve)
        page.goto(f"{ADDRESS}page.html")
        yield page, told


def _errors(message: ConsoleMessage) -> list[str]:
    return [f"{message.text} {message.location['url']}"] if message.type == "error" else []


def _serve(route: Route) -> None:
    name = route.request.url.removeprefix(ADDRESS)
    if name.startswith(CODE_FONTS):  # not what axes and legends are measured in
        name = next(file for file in FILES if file.endswith(".woff2"))
    file = PACKAGES / "@grafana" / "ui" / "dist" / name if name.startswith(ICONS) else FILES.get(name)
    if file and file.is_file():
        route.fulfill(path=file)
    else:
        route.fulfill(status=404)


def draw(page: Page, shown: dict[str, Any]) -> list[str]:
    """Draw a dashboard, and return the titles of the panels that are still empty after 10 s."""
    page.evaluate("shown => window.draw(shown)", shown)
    try:
        page.wait_for_function("() => window.empty().length === 0", timeout=10_000)
    except Error:
        return list(page.evaluate("() => window.empty()"))
    return []


def run() -> dict[str, dict[str, Any]]:
    """Load both twins, and return what there is to draw, by the dashboard's name."""
    with (
        tempfile.TemporaryDirectory(prefix="twins-") as folder,
        observe(Path(folder), SETTINGS, RAMP) as observed,
    ):
        return {path.stem: asked(observed, path) for path in PATHS}


def pictures(boards: dict[str, dict[str, Any]]) -> list[str]:
    """Write the picture of each dashboard, and return what was wrong."""
    wrong = []
    PICTURES.mkdir(parents=True, exist_ok=True)
    with opened() as (page, told):
        for name, shown in boards.items():
            wrong += [f"{name}: {title} is empty" for title in draw(page, shown)]
            page.screenshot(path=PICTURES / f"{name}.png", full_page=True)
        return wrong + told


def main() -> None:
    try:
        wrong = pictures(run())
    except (StackError, TrialFailed, Error) as error:
        wrong = [str(error)]
    except KeyboardInterrupt:
        sys.exit(130)
    if wrong:
        sys.exit("\n".join(f"drawing: {line}" for line in wrong))
    print(f"every panel is drawn: {PICTURES}")


if __name__ == "__main__":
    main()
