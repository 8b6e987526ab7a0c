"""report.html: one run as a page of its own, which opens without a network.

Nothing in it but what is in results.json: tables, and charts that page.js draws with Apache ECharts.
"""

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from loadtests.analysis.results import Results
from loadtests.load.files import write_whole
from loadtests.load.subjects import for_scripts
from loadtests.report.page import audit, capacity, cost, curve, latency, timeline
from loadtests.report.page.facts import facts
from loadtests.report.page.parts import Section
from loadtests.report.verdict import alarm, findings

FILE = "report.html"
HERE = Path(__file__).parent
SCRIPTS = (HERE / "vendor" / "echarts.common.min.js", HERE / "common.js", HERE / "page.js")
SECTIONS = (
    *(latency.by_load, latency.ratios, timeline.through_the_run, curve.curves),
    *(capacity.rates, capacity.at_offered_rates, capacity.failed),
    *(cost.time_spent, cost.cpu, cost.finished),
    *(audit.counts, audit.trials, audit.measured_on),
)


def write(results: Results, path: Path) -> None:
    """Write the page, whole or not at all."""
    write_whole(path, render(results))


def render(results: Results) -> str:
    """Return the page; the same results always give the same page."""
    found = sections(results)
    scripts = [script.read_text(encoding="utf-8") for script in SCRIPTS]
    parts = [part for section in found for part in section["parts"]]
    templates = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return templates.get_template("template.html").render(
        results=results,
        alarm=alarm(results),
        findings=findings(results),
        facts=facts(results),
        sections=found,
        subjects=for_scripts(),
        panels={part["id"]: part for part in parts if part["kind"] == "panel"},
        style=Markup((HERE / "page.css").read_text(encoding="utf-8")),  # noqa: S704 - a file of this folder
        scripts=[Markup(script) for script in scripts],  # noqa: S704 - the same
        hashes=[_hash(script) for script in scripts],
    )


def sections(results: Results) -> list[Section]:
    """Return what there is something to show of; that nothing failed is worth saying too."""
    built = [build(results) for build in SECTIONS]
    return [section for section in built if section["parts"] or section["id"] == "failures"]


def _hash(script: str) -> str:
    """Return what the page's own policy allows this script by, and no other."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
