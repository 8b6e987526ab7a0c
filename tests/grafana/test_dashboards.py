"""Every query of every dashboard has data in a real run; the JSON is what the code makes."""

import json
import math
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pymysql
import pytest
import redis

from loadtests.bootstrap import ROOT
from loadtests.stack import Stack
from tests import client
from tests.observed import Observed
from tests.parts import full

GRAFANA = ROOT / "grafana"
PATHS = sorted((GRAFANA / "dashboards").glob("*.json"))
NATIVE = re.compile(r"^(?!.*container_)")
"""What needs cAdvisor can be asked in Compose only."""
LABEL_VALUES = re.compile(r"label_values\((.*), (\w+)\)")


def load(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text()))


def panels(path: Path) -> list[dict[str, Any]]:
    return [panel for panel in load(path)["panels"] if panel["type"] != "row"]


def queries(path: Path) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{path.stem}: {panel['title']}: {target['refId']}", target)
        for panel in panels(path)
        for target in panel.get("targets") or ()
        if NATIVE.match(target["expr"])
    ]


def variables(path: Path) -> list[dict[str, Any]]:
    return list(load(path)["templating"].get("list") or ())


def substituted(expr: str, seconds: float = 300) -> str:
    """As Grafana does it for so long a range with a scrape interval of 1 s and every variable at "All"."""
    for name, value in {
        "$__rate_interval": "4s",
        "$__range": f"{seconds:.0f}s",
        "$twin": ".+",
        "$process": ".+",
    }.items():
        expr = expr.replace(name, value)
    assert "$" not in expr, expr
    return expr


def test_there_are_four_dashboards() -> None:
    assert [path.stem for path in PATHS] == ["async", "machine", "naive", "twins"]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_json_is_what_the_code_makes(path: Path) -> None:
    from grafana.build import files  # noqa: PLC0415 - its SDK is a development package

    assert path.read_text() == files()[path], "run `make dashboards`"


@pytest.mark.parametrize(
    ("name", "target"), [pytest.param(*each, id=each[0]) for p in PATHS for each in queries(p)]
)
def test_every_query_has_data(observed: Observed, name: str, target: dict[str, Any]) -> None:
    expr = substituted(target["expr"])
    if target.get("instant"):
        answer = observed.get("query", query=expr, time=observed.ended)["result"]
        found = [float(series["value"][1]) for series in answer]
    else:
        found = [float(value) for series in observed.range(expr) for _, value in series["values"]]
    assert [value for value in found if math.isfinite(value)], expr


def now(observed: Observed, title: str) -> dict[str, float]:
    """Return what the first query of panel `title` says at this moment, by its one label."""
    expr = next(target["expr"] for path in PATHS for name, target in queries(path) if name == f"{title}: A")
    found = observed.get("query", query=substituted(expr))["result"]
    return {label: float(each["value"][1]) for each in found for label in each["metric"].values()}


FAILED, CAUSES = "twins: Failed requests", "naive: Failures by cause, per second"


def hang_up(stack: Stack) -> None:
    """End every connection to MySQL: the next request fails, and then the pool has new ones."""
    with stack.mysql.connect() as mysql, mysql.cursor() as cursor:
        cursor.execute("SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID()")
        for (number,) in cursor.fetchall():
            with suppress(pymysql.MySQLError):  # it has just gone by itself
                cursor.execute(f"KILL {number}")


def test_a_single_failure_shows_and_so_does_its_cause(observed: Observed) -> None:
    url, before = observed.stack.base_url("naive_sync"), now(observed, FAILED)["naive_sync"]
    hang_up(observed.stack)
    assert client.log(url, "fails").status == 503
    client.eventually(
        lambda: (
            now(observed, FAILED)["naive_sync"] > before + 0.9
            and now(observed, CAUSES).get("OperationalError", 0) > 0
        ),
        "one failure is seen",
    )
    assert client.log(url, "goes well").status == 200


def test_a_single_refusal_of_the_async_twin_shows(observed: Observed) -> None:
    url, port = observed.stack.base_url("async_dedup"), observed.stack.settings.redis_port
    before = now(observed, FAILED)["async_dedup"]
    with redis.Redis(port=port, decode_responses=True) as server, full(server):
        assert client.log(url, "refused").status == 503
    client.eventually(lambda: now(observed, FAILED)["async_dedup"] > before + 0.9, "one refusal is seen")


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_variable_has_values(observed: Observed, path: Path) -> None:
    for variable in variables(path):
        matched = LABEL_VALUES.fullmatch(variable["query"])
        assert matched, variable["query"]
        selector, label = matched.groups()
        assert observed.get(f"label/{label}/values", **{"match[]": selector}), variable["name"]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_runs_and_alerts_are_marked(observed: Observed, path: Path) -> None:
    runs, alerts = load(path)["annotations"]["list"]
    marked = {series["metric"]["target"] for series in observed.range(runs["expr"])}
    assert marked == {observed.stack.base_url(twin) for twin in ("naive_sync", "async_dedup")}
    observed.range(alerts["expr"])  # there need be none, but the question is right


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_panel_says_what_it_shows(path: Path) -> None:
    shown = panels(path)
    assert all(len(panel["description"]) > 40 for panel in shown), [panel["title"] for panel in shown]
    assert len({panel["id"] for panel in shown}) == len(shown)
    assert [panel["title"] for panel in shown if panel["type"] == "text"] == ["How to read this"]


def test_the_step_is_the_scrape_interval() -> None:
    """Else `$__rate_interval` is a minute, and a level of a run lasts seconds."""
    (interval,) = re.findall(r"scrape_interval: (\w+)", (GRAFANA / "prometheus.yml").read_text())
    (step,) = re.findall(
        r"timeInterval: (\w+)", (GRAFANA / "provisioning/datasources/prometheus.yml").read_text()
    )
    assert step == interval == "1s"
