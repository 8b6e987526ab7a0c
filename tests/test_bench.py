"""The smoke profile from end to end, and what the bench does with what it gets."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, cast

import psutil
import pytest

from loadtests import bench
from loadtests.pairs import compare
from loadtests.profiles import PROFILES, Profile
from loadtests.results import RESULTS, Results
from loadtests.summary import reasons
from tests.conftest import free_settings, is_free
from tests.parts import environment
from tests.samples import results, trial


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """A smoke run: how it ended, and its results."""
    folder = tmp_path_factory.mktemp("bench")
    ended = subprocess.run(
        command(folder), env=private(), capture_output=True, text=True, timeout=180, check=False
    )
    (path,) = (folder / "results").glob("*/results.json")
    return ended, json.loads(path.read_text())


def command(folder: Path) -> list[str]:
    return [sys.executable, "-m", "loadtests.bench", "--profile", "smoke", "--run-dir", str(folder)]


def private() -> dict[str, str]:
    return environment(free_settings()) | {"FLOOR_PORT": str(next(filter(is_free, range(30_000, 31_000))))}


def test_it_ends_well_and_tells_where_the_results_are(
    run: tuple[subprocess.CompletedProcess[str], dict[str, Any]],
) -> None:
    ended, found = run
    assert ended.returncode == bench.status(cast("Results", found)), ended.stdout + ended.stderr
    assert ended.returncode != bench.FAILED
    assert "pair 1 of 1, naive_sync" in ended.stdout
    assert "p95 so far" in ended.stdout
    assert found["run"] in ended.stdout
    assert "RESULTS.md" not in ended.stdout


def test_the_results_have_their_shape(
    run: tuple[subprocess.CompletedProcess[str], dict[str, Any]],
) -> None:
    _, found = run
    assert found.keys() == results([]).keys()
    assert {t["twin"] for t in found["trials"]} == {"naive_sync", "async_dedup"}
    assert [level["users"] for level in found["floor"]] == [5, 20]
    assert found["comparison"] == compare(found["trials"])
    sample = trial(1, "naive_sync", p95=1.0)
    for each in found["trials"]:
        assert each.keys() == sample.keys()
        assert each["levels"][0].keys() == sample["levels"][0].keys()


def test_nothing_but_a_busy_machine_makes_it_invalid(
    run: tuple[subprocess.CompletedProcess[str], dict[str, Any]],
) -> None:
    """Other work on the machine may hold the generator up, and then the bench is right to say so."""
    left_out = [reason for each in run[1]["trials"] for reason in reasons(each)]
    busy = ("loop lagged", "stolen", "other work")
    assert all(any(word in reason for word in busy) for reason in left_out), left_out
    assert run[1]["comparison"] or left_out


def test_every_trial_is_reconciled(run: tuple[subprocess.CompletedProcess[str], dict[str, Any]]) -> None:
    counts = {t["twin"]: t["reconcile"] for t in run[1]["trials"]}
    assert all(count["acknowledged"] > 100 for count in counts.values())
    assert counts["async_dedup"]["lost"] == counts["async_dedup"]["extra"] == 0
    assert counts["async_dedup"]["recorded"] == counts["async_dedup"]["acknowledged"]
    assert counts["naive_sync"]["extra"] == 0


def test_cpu_and_freshness_are_measured(
    run: tuple[subprocess.CompletedProcess[str], dict[str, Any]],
) -> None:
    for each in run[1]["trials"]:
        assert {"app", "mysql", "redis", "generator"} <= each["cpu_seconds"].keys()
        assert each["cpu_seconds"]["app"] > 0
        assert each["freshness_ms"]["p95"] <= each["counted_ms"]["p95"]


def test_ctrl_c_leaves_no_process_and_no_result(tmp_path: Path) -> None:
    with subprocess.Popen(
        command(tmp_path), env=private(), stdout=subprocess.PIPE, text=True
    ) as bench_process:
        assert bench_process.stdout is not None
        next(line for line in bench_process.stdout if "users" in line)
        family = psutil.Process(bench_process.pid).children(recursive=True)
        bench_process.send_signal(signal.SIGINT)
        bench_process.stdout.read()
        assert bench_process.wait(timeout=60) == bench.INTERRUPTED
    time.sleep(0.1)
    assert len(family) > 2
    assert not any(process.is_running() for process in family)
    assert not (tmp_path / "results").exists()


def test_the_order_within_a_pair_is_drawn_by_the_seed() -> None:
    assert bench.orders(1, 50) == bench.orders(1, 50) != bench.orders(2, 50)
    assert {tuple(pair) for pair in bench.orders(1, 50)} == {
        ("naive_sync", "async_dedup"),
        ("async_dedup", "naive_sync"),
    }


@pytest.mark.parametrize(
    ("lost_naive", "lost_async", "status"), [(0, 0, 0), (9, 0, 0), (0, 1, bench.FAILED), (9, 1, bench.FAILED)]
)
def test_the_exit_status_tells_whether_the_async_twin_lost(
    lost_naive: int, lost_async: int, status: int
) -> None:
    trials = [
        trial(1, "naive_sync", p95=30.0, lost=lost_naive),
        trial(1, "async_dedup", p95=10.0, lost=lost_async),
    ]
    assert bench.status(results(trials)) == status


def test_the_exit_status_tells_that_nothing_is_left_to_compare() -> None:
    naive, async_ = trial(1, "naive_sync", p95=30.0), trial(1, "async_dedup", p95=10.0)
    naive["valid"] = False
    assert bench.status(results([naive, async_])) == bench.NOTHING_VALID


def test_a_smoke_run_is_never_published() -> None:
    assert bench.parse(["--profile", "smoke"]).results == bench.RUN_DIR / "results"
    assert bench.parse([]).results == RESULTS
    assert (bench.parse([]).pairs, bench.parse(["--profile", "smoke"]).pairs) == (3, 1)


def test_a_profile_knows_its_levels() -> None:
    profile = Profile(users=(10, 50), level_seconds=6, start_up_seconds=1, warm_up_seconds=3)
    assert [profile.level_at(seconds) for seconds in (0, 2.9, 3, 8.9, 9, 14.9, 15)] == [
        *(-1, -1, 0, 0, 1, 1),
        None,
    ]
    assert profile.seconds == 15
    assert PROFILES["ramp"].users == (10, 50, 100, 200, 500)
