"""Prometheus sees all of a run, its rules fire where they must, and where it is missing nothing changes."""

import os
import subprocess
from pathlib import Path

import psutil
import pytest

from loadtests.bootstrap import ROOT
from loadtests.load.profiles import SMOKE
from loadtests.load.progress import FOUND
from loadtests.stack import Stack, observers
from loadtests.stack.__main__ import observed as told
from tests import client
from tests.conftest import free_settings
from tests.observed import TWINS, Observed, seen

GRAFANA = ROOT / "grafana"
JOBS = {
    *("naive_sync", "async_dedup", "worker", "scheduler"),
    *("load", "mysql", "redis", "node", "process", "prometheus"),
}


@pytest.mark.parametrize(
    "words",
    [
        ("check", "config", "--syntax-only", "prometheus.yml"),
        ("check", "rules", "rules.yml"),
        ("test", "rules", "rules_test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_accepts(words: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *words], cwd=GRAFANA, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_target_is_scraped(observed: Observed) -> None:
    found = {target["labels"]["job"]: target for target in observed.get("targets")["activeTargets"]}
    assert found.keys() == JOBS
    assert {job: target["lastError"] for job, target in found.items() if target["health"] != "up"} == {}


def test_every_rule_is_evaluated(observed: Observed) -> None:
    rules = [rule for group in observed.get("rules")["groups"] for rule in group["rules"]]
    assert len(rules) == 14
    assert [rule for rule in rules if rule["health"] != "ok"] == []


def test_the_generator_tells_what_it_sends(observed: Observed) -> None:
    for twin in TWINS:
        target = observed.stack.base_url(twin)
        assert observed.range(f'loadtest_running{{target="{target}",profile="{SMOKE.name}"}}')
    assert observed.largest("loadtest_users") == 20
    assert observed.largest("loadtest_achieved_rate") > 0
    assert 0 < observed.largest("loadtest_p95_seconds > 0") < 30


def test_the_live_page_saw_the_same_run(observed: Observed) -> None:
    samples = seen(observed.stack.base_url("live"))
    loads = [sample["load"] for sample in samples if sample["load"]]
    assert {(load["profile"], load["subject"]) for load in loads} == {(SMOKE.name, twin) for twin in TWINS}
    for twin in TWINS:
        assert any(sample["charts"]["p95"].get(twin) for sample in samples), twin


def first_seen(observed: Observed, query: str) -> float:
    (series,) = observed.range(query)
    return float(series["values"][0][0])


def test_what_the_audits_found_is_told(observed: Observed) -> None:
    for twin, counts in observed.audits.items():
        for found in FOUND:
            (told,) = observed.range(f'loadtest_audited_events{{twin="{twin}",found="{found}"}}')
            assert {float(value) for _, value in told["values"]} == {dict(counts)[found]}
    began = first_seen(observed, f'loadtest_running{{target="{observed.stack.base_url("async_dedup")}"}}')
    ended = first_seen(observed, 'loadtest_audited_events{twin="async_dedup",found="lost"}')
    assert ended > began + SMOKE.seconds - 2, "unknown as long as the load runs"


def test_so_it_is_on_the_live_page(observed: Observed) -> None:
    live = observed.stack.base_url("live")
    wanted = {
        twin: {found: dict(counts)[found] for found in FOUND} for twin, counts in observed.audits.items()
    }
    client.eventually(lambda: seen(live)[-1]["audits"] == wanted, "the live page has both audits")
    samples = seen(live)
    assert samples[0]["audits"] == {}
    naive_only = [sample["load"] for sample in samples if sample["audits"].keys() == {"naive_sync"}]
    assert any(load and load["subject"] == "async_dedup" for load in naive_only), "told before the next trial"


def test_processes_are_told_apart(observed: Observed) -> None:
    names = {series["metric"]["groupname"] for series in observed.range("process:cpu:cores > 0")}
    wanted = {"naive_sync", "async_dedup", "worker", "scheduler", "mysql", "redis", "generator", "observers"}
    assert wanted <= names


def test_what_observes_is_nice_to_the_generator(installed_dir: Path) -> None:
    with Stack(installed_dir, free_settings(), pin=True) as stack:
        stack.start("mysql", "redis")
        stack.start_observers()
        for role in stack.observers():
            process = psutil.Process(stack.pid(role))
            assert process.nice() == 19
            session = Path(f"/proc/{process.pid}/autogroup")
            assert not session.exists() or session.read_text().endswith(" nice 19\n")
            assert set(process.cpu_affinity() or ()) == (stack.generator_cpus() or os.sched_getaffinity(0))


def test_without_prometheus_there_is_the_live_page_and_it_says_how(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observers, "find_program", lambda *_: None)
    with Stack(run_dir, free_settings()) as stack:
        stack.start_observers()
        assert stack.observers() == ("live",)
        assert stack.base_url("live") in told(stack)
        assert "make setup-observability" in told(stack)


def test_a_password_is_on_no_command_line_and_in_no_open_file(observed: Observed) -> None:
    settings = observed.stack.settings
    for role in observed.stack.observers():
        words = psutil.Process(observed.stack.pid(role)).cmdline()
        assert not [word for word in words if f"{settings.mysql_user}:{settings.mysql_password}" in word]
    assert (observed.stack.run_dir / "prometheus").stat().st_mode & 0o077 == 0
