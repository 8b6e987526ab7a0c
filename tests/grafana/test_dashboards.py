"""Every query of every dashboard has data in a real run; the JSON is what the code makes."""

import json
import math
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from grafana import limits
from loadtests.bootstrap import ROOT
from loadtests.stack import Stack
from tests import client
from tests.observed import RUN_NAME, Observed
from tests.parts import frozen

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
        "$run": ".*",
        "$profile": ".*",
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


ASKS = "SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT issues.id%'"


def fail_once(stack: Stack, url: str) -> int:
    """Return the answer to an event whose connection MySQL ends in the middle of its SELECT."""
    with stack.mysql.connect() as mysql, mysql.cursor() as cursor, ThreadPoolExecutor(1) as pool:
        mysql.cursor().execute("LOCK TABLES issues WRITE")
        answer = pool.submit(client.log, url, "fails")
        with stack.mysql.connect() as other, other.cursor() as seeing:
            client.eventually(lambda: seeing.execute(ASKS) == 1, "the naive twin waits for the table")
            seeing.execute("KILL %s", seeing.fetchone())
        cursor.execute("UNLOCK TABLES")
        return answer.result().status


def test_a_single_failure_shows_and_so_does_its_cause(observed: Observed) -> None:
    url, before = observed.stack.base_url("naive_sync"), now(observed, FAILED)["naive_sync"]
    assert fail_once(observed.stack, url) == 503
    client.eventually(
        lambda: (
            now(observed, FAILED)["naive_sync"] > before + 0.9
            and now(observed, CAUSES).get("OperationalError", 0) > 0
        ),
        "one failure is seen",
    )
    assert client.log(url, "goes well").status == 200


def test_a_single_refusal_of_the_async_twin_shows(observed: Observed) -> None:
    url, before = observed.stack.base_url("async_dedup"), now(observed, FAILED)["async_dedup"]
    with frozen(observed.stack.pid("redis")):
        assert client.log(url, "nobody can tell").status == 503
    client.eventually(lambda: now(observed, FAILED)["async_dedup"] > before + 0.9, "one refusal is seen")


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_variable_has_values(observed: Observed, path: Path) -> None:
    source, *asked = variables(path)
    assert (source["type"], source["query"]) == ("datasource", "prometheus")
    assert {"run", "profile"} <= {variable["name"] for variable in asked}
    for variable in asked:
        matched = LABEL_VALUES.fullmatch(substituted(variable["query"]))
        assert matched, variable["query"]
        selector, label = matched.groups()
        assert observed.get(f"label/{label}/values", **{"match[]": selector}), variable["name"]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_runs_and_alerts_are_marked(observed: Observed, path: Path) -> None:
    runs, alerts = load(path)["annotations"]["list"]
    marked = {series["metric"]["target"] for series in observed.range(substituted(runs["expr"]))}
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


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_no_panel_knows_one_installation_s_data_source(path: Path) -> None:
    uids = set(re.findall(r'"uid": "([^"]*)"', path.read_text()))
    assert uids <= {"${source}", path.stem, "-- Grafana --"}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_legend_has_values(path: Path) -> None:
    lines = [panel for panel in panels(path) if panel["type"] == "timeseries"]
    assert [
        each["title"] for each in lines if each["options"]["legend"]["calcs"] != ["lastNotNull", "max"]
    ] == []


def test_another_run_is_not_drawn_while_it_is_loaded(observed: Observed) -> None:
    """Of the chosen run there is nothing here, and of the time without load there is."""
    (expr,) = [each["expr"] for path in PATHS for name, each in queries(path) if name == f"{RATES}: A"]
    counted = {}
    for run in (RUN_NAME, "none such"):
        asked = expr.replace("$run", run).replace("$profile", ".*").replace("$twin", ".+")
        series = observed.range(asked.replace("$__rate_interval", "4s"))
        counted[run] = sum(float(value) > 0 for each in series for _, value in each["values"])
        loaded = observed.range(
            f"({asked.replace('$__rate_interval', '4s')}) and on () group(loadtest_running)"
        )
        assert bool(loaded) == (run == RUN_NAME)
    assert counted[RUN_NAME] > counted["none such"]


RATES = "twins: Requests per second"
ALERT = re.compile(r"- alert: (\w+)\n +expr: .*> ([\d.]+)(?: \* flush_interval_seconds)?\n")
DRAWN = {
    "P95OverTarget": (
        limits.P95_SECONDS,
        {"p95 by the server's clock, and the client's", "p95 and p99 over users"},
    ),
    "QueueOld": (limits.ROW_SECONDS, {"Age of the oldest of them", "Event to row"}),
    "FlushIdle": (limits.FLUSH_INTERVALS, set[str]()),  # a line of its own, by the setting
    "RedisMemory": (limits.REDIS_MEMORY, set[str]()),
    "GeneratorSaturated": (limits.GENERATOR_CORES, set[str]()),
}


def test_the_lines_in_the_panels_are_the_limits_of_the_alerts() -> None:
    alerts = {name: float(limit) for name, limit in ALERT.findall((GRAFANA / "rules.yml").read_text())}
    assert {name: alerts[name] for name in DRAWN} == {name: limit for name, (limit, _) in DRAWN.items()}
    lines = {
        panel["title"]: panel["fieldConfig"]["defaults"]["thresholds"]["steps"][-1]["value"]
        for path in PATHS
        for panel in panels(path)
        if panel["type"] == "timeseries" and "thresholdsStyle" in panel["fieldConfig"]["defaults"]["custom"]
    }
    assert lines == {title: limit for limit, titles in DRAWN.values() for title in titles}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_cpu_has_a_unit(path: Path) -> None:
    cpu = [panel for panel in panels(path) if panel["title"].startswith("CPU")]
    assert {panel["fieldConfig"]["defaults"]["unit"] for panel in cpu} <= {"suffix: cores"}
    assert bool(cpu) == (path.stem == "machine")
