"""The smoke profile from end to end, and what the bench does with what it gets."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast
from urllib.request import urlopen

import psutil
import pytest
from rich.console import Console

from loadtests import bench, report
from loadtests.analysis.pairs import compare
from loadtests.analysis.results import RESULTS, Results, newest
from loadtests.analysis.schema import check
from loadtests.analysis.summary import reasons
from loadtests.bootstrap import ROOT
from loadtests.live.sampler import Sample
from loadtests.load.progress import FOUND
from loadtests.load.subjects import TWINS
from loadtests.report.verdict import verdict
from loadtests.stack import Stack, StackError
from shared.fingerprint import fingerprint
from tests import client
from tests.conftest import Install, free_settings, is_free
from tests.parts import environment
from tests.samples import results, trial

Run = tuple[subprocess.CompletedProcess[str], dict[str, Any], Path, list[Sample]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, naive_url: str, install: Install) -> Run:
    """How a smoke run ended, its results, their folder, and what the live page showed.

    The third implementation is the naive twin of another stack. The seed puts it last: no twin that has to be
    stopped leaves time for its audit to be seen.
    """
    folder, settings = install(tmp_path_factory.mktemp("bench")), free_settings()
    with ThreadPoolExecutor() as beside:
        live = beside.submit(shown_until_the_end, settings.live_port)
        ended = subprocess.run(
            [*command(folder), "--seed", "2", "--host", naive_url],
            env=environment(settings),
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
    assert ended.returncode != bench.FAILED, ended.stdout + ended.stderr
    (path,) = (folder / "results").glob("*/results.json")
    return ended, json.loads(path.read_text()), path.parent, live.result()


def shown_until_the_end(live_port: int) -> list[Sample]:
    client.eventually(lambda: not is_free(live_port), "the live page is up", 60)
    with urlopen(f"http://127.0.0.1:{live_port}/events", timeout=30) as stream:
        batches = [line.removeprefix(b"data: ") for line in stream if line.startswith(b"data: ")]
    return [sample for batch in batches for sample in json.loads(batch)]


def command(folder: Path) -> list[str]:
    return [sys.executable, "-m", "loadtests.bench", "--profile", "smoke", "--run-dir", str(folder)]


def private() -> dict[str, str]:
    return environment(free_settings())


def test_it_ends_well_and_tells_where_the_results_are(run: Run) -> None:
    ended, found, *_ = run
    assert ended.returncode == bench.status(cast("Results", found)), ended.stdout + ended.stderr
    assert ended.returncode != bench.FAILED
    assert "Live: http://127.0.0.1:" in ended.stdout
    assert "smoke: floor" in ended.stdout
    assert "smoke: pair 1 of 1, naive_sync" in ended.stdout
    assert "p95 so far" in ended.stdout
    assert found["run"] in ended.stdout
    assert "RESULTS.md" not in ended.stdout


def test_page_and_spreadsheet_are_beside_the_results(run: Run) -> None:
    assert {path.name for path in run[2].iterdir()} == {"results.json", "results.csv", "report.html"}


class Done:
    """A measurement that is over, and how it ended."""

    planned_seconds = 0.0

    name = "20260101T000000Z-ramp"

    def __init__(self, found: Results, error: BaseException | None = None) -> None:
        self.trials, self._found, self._error = found["trials"], found, error

    def run(self, _: Console, keep: Callable[[], None], end: Callable[[], dict[str, str]]) -> None:
        keep()
        if self._error:
            raise self._error
        self.ended = end()

    def results(self, why_missing: str = "") -> Results:
        return self._found | {"missing": [f"1 of 3 trials: {why_missing}"] if self._error else []}


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where whole runs go, instead of into this repository."""
    folder = tmp_path / "published"
    monkeypatch.setattr(bench, "RESULTS", folder)
    monkeypatch.setattr(report, "REPORT", tmp_path / "RESULTS.md")
    monkeypatch.setattr(report, "README", tmp_path / "README.md")
    monkeypatch.setattr(report, "newest", lambda _=None: newest(folder))
    monkeypatch.setattr(report.write, "__defaults__", (tmp_path / "RESULTS.md",))
    readme = tmp_path / "README.md", tmp_path / "p95.svg"
    monkeypatch.setattr(report.write_readme, "__defaults__", readme)
    shutil.copyfile(ROOT / "README.md", readme[0])
    return folder


def end(done: Done, run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(bench, "Measurement", lambda *_: done)
    return bench.main(["--run-dir", str(run_dir)])


def test_a_whole_run_is_published_and_left_nowhere_else(
    tmp_path: Path, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = results([trial(1, "naive_sync", p95=30.0), trial(1, "async_dedup", p95=10.0)])
    assert end(done := Done(whole), tmp_path, monkeypatch) == 0
    assert done.ended == {"result": verdict(whole), "report": str(published / Done.name / "report.html")}
    assert Path(done.ended["report"]).is_file()
    assert [path.parent.name for path in published.glob("*/results.json")] == [Done.name]
    for page in ("RESULTS.md", "README.md"):
        assert f"`{whole['run']}`" in (tmp_path / page).read_text(), page
    assert list((tmp_path / "results").iterdir()) == []


@pytest.mark.parametrize(
    ("error", "status"),
    [(KeyboardInterrupt(), bench.INTERRUPTED), (StackError("MySQL is gone"), bench.FAILED)],
)
def test_a_run_that_was_broken_off_is_kept_and_not_published(
    error: BaseException, status: int, tmp_path: Path, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = results([trial(1, "naive_sync", p95=30.0), trial(1, "async_dedup", p95=10.0)])
    assert end(Done(part, error), tmp_path, monkeypatch) == status
    assert not published.exists()
    (kept,) = (tmp_path / "results").iterdir()
    assert {path.name for path in kept.iterdir()} == {"results.json", "results.csv", "report.html"}
    check(found := json.loads((kept / "results.json").read_text()))
    assert found["missing"] == [f"1 of 3 trials: {str(error) or 'interrupted'}"]


def test_what_was_measured_outlives_a_crash_of_the_bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = results([trial(1, "naive_sync", p95=30.0)])
    with pytest.raises(MemoryError):
        end(Done(part, MemoryError()), tmp_path, monkeypatch)
    check(json.loads((tmp_path / "results" / Done.name / "results.json").read_text()))


def test_results_without_their_shape_are_rejected_and_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = results([trial(1, "naive_sync", p95=30.0)])
    broken["seed"] = cast("int", "one")
    monkeypatch.setattr(bench, "Measurement", lambda *_: Done(broken))
    arguments = ["--run-dir", str(tmp_path), "--results", str(tmp_path / "mine")]
    assert bench.main(arguments) == bench.FAILED
    assert "seed" in capsys.readouterr().err
    assert [path.name for path in tmp_path.glob("mine/*/*")] == ["rejected.json"]


def test_the_results_have_their_shape(run: Run, naive_url: str) -> None:
    found = run[1]
    check(found)
    assert found["command"] == f"make bench PROFILE=smoke PAIRS=1 SEED=2 HOST={naive_url}"
    assert {t["twin"] for t in found["trials"]} == {*TWINS, "other"}
    assert {t["profile"] for t in found["trials"]} == {"smoke"}
    assert [level["users"] for level in found["floor"]] == [5, 20]
    assert found["comparison"] == compare(found["trials"])


def test_nothing_but_a_busy_machine_makes_it_invalid(run: Run) -> None:
    """Other work on the machine may hold the generator up, and then the bench is right to say so."""
    left_out = [reason for each in run[1]["trials"] for reason in reasons(each)]
    busy = ("loop lagged", "stolen", "other work", "no request succeeded")
    assert all(any(word in reason for word in busy) for reason in left_out), left_out
    assert run[1]["comparison"] or left_out


def test_every_trial_is_reconciled(run: Run) -> None:
    counts = {t["twin"]: t["reconcile"] for t in run[1]["trials"]}
    assert all(count["acknowledged"] > 50 for count in counts.values())
    assert counts["async_dedup"]["lost"] == counts["async_dedup"]["extra"] == 0
    assert counts["async_dedup"]["recorded"] == counts["async_dedup"]["acknowledged"]
    assert counts["naive_sync"]["extra"] == counts["other"]["extra"] == 0


def test_who_watches_sees_every_audit_the_last_one_too(run: Run) -> None:
    _, found, folder, live = run
    assert found["trials"][-1]["twin"] == "other"
    counts = {t["twin"]: t["reconcile"] for t in found["trials"]}
    wanted = {twin: {name: count[name] for name in FOUND} for twin, count in counts.items()}
    assert live[0]["audits"] == {}
    assert live[-1]["audits"] == wanted
    assert kept_by_prometheus(folder.parents[1]) == wanted


def test_who_watches_is_told_what_is_done_and_how_it_ended(run: Run) -> None:
    _, found, folder, live = run
    steps = {sample["step"] for sample in live}
    assert "smoke: pair 1 of 1, naive_sync" in steps
    last = live[-1]["audits"]
    assert all(sample["result"] is None for sample in live if sample["audits"] != last)
    told = live[-1]["result"]
    assert told == {"result": verdict(cast("Results", found)), "report": str(folder / "report.html")}
    assert Path(told["report"]).is_file()


def kept_by_prometheus(run_dir: Path) -> dict[str, dict[str, float]]:
    """Return the last value of each series, from what Prometheus has left on disk."""
    dump = ["promtool", "tsdb", "dump", "--match={__name__='loadtest_audited_events'}"]
    # From 2.50 on it wants room beside the data, in ./data/ unless an option says where, which 2.42 lacks.
    told = subprocess.run(
        [*dump, "data"], cwd=run_dir / "prometheus", capture_output=True, text=True, check=True
    )
    found: dict[str, dict[str, float]] = {}
    # NaN marks that a scrape failed, as on a busy machine the last ones may.
    for line in (each for each in told.stdout.splitlines() if each.split()[-2] != "NaN"):
        labels = dict(re.findall(r'(\w+)="(\w+)"', line))
        found.setdefault(labels["twin"], {})[labels["found"]] = float(line.split()[-2])
    return found


def test_cost_and_freshness_of_a_twin_are_measured(run: Run) -> None:
    for each in [t for t in run[1]["trials"] if t["twin"] != "other"]:
        processes = {"app", "mysql", "redis"} | (
            {"worker", "scheduler"} if each["twin"] == "async_dedup" else set()
        )
        assert each["cpu_seconds"].keys() == {*processes, "generator"}
        assert all(each["cpu_seconds"][name] > 0 for name in ("app", "mysql", "generator"))
        assert each["memory_mb"].keys() == processes
        assert each["memory_mb"]["app"] > 20
        assert each["written_mb"].keys() == {"mysql", "redis"}
        assert each["written_mb"]["mysql"] > 0
        assert each["freshness_ms"]["p95"] <= each["counted_ms"]["p95"]
        assert each["mean_ms"]["request"] > 0


def test_statements_are_the_naive_twins_four_per_event_and_the_async_twins_far_fewer(run: Run) -> None:
    per_event = {
        t["twin"]: t["statements"] / t["reconcile"]["acknowledged"]
        for t in run[1]["trials"]
        if t["twin"] != "other"
    }
    # Each of the pool's 30 connections asks for something when it is opened, too.
    assert 4 <= per_event["naive_sync"] < 6
    # A flush asks as much for few events as for many, and a busy machine leaves time for few.
    assert per_event["async_dedup"] < per_event["naive_sync"] / 2


def test_the_cost_of_a_third_implementation_is_not_known(run: Run) -> None:
    (other,) = [t for t in run[1]["trials"] if t["twin"] == "other"]
    assert other["cpu_seconds"].keys() == {"generator"}
    assert other["statements"] is None
    assert other["memory_mb"] == other["written_mb"] == other["mean_ms"] == other["freshness_ms"] == {}


def test_a_failed_trial_stops_no_other_and_ctrl_c_leaves_no_process_and_what_is_finished(
    tmp_path: Path, install: Install
) -> None:
    three = ["--twins", "naive_sync", "--pairs", "3"]
    with subprocess.Popen(
        [*command(install(tmp_path)), *three], env=private(), stdout=subprocess.PIPE, text=True
    ) as bench_process:
        assert bench_process.stdout is not None
        shown = iter(bench_process.stdout)
        next(line for line in shown if "pair 2" in line and "users" in line)
        family = psutil.Process(bench_process.pid).children(recursive=True)
        generator(family).kill()
        failed = next(line for line in shown if line.startswith("Failed"))
        assert "pair 2, naive_sync: the load generator ended with status -9" in failed
        next(line for line in shown if "pair 3" in line and "users" in line)
        family += psutil.Process(bench_process.pid).children(recursive=True)
        bench_process.send_signal(signal.SIGINT)
        rest = "".join(shown)
        assert bench_process.wait(timeout=60) == bench.INTERRUPTED
    assert len(family) > 2
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
    (path,) = tmp_path.glob("results/*/results.json")
    assert os.path.relpath(path) in rest
    found = json.loads(path.read_text())
    check(found)
    assert [each["pair"] for each in found["trials"]] == [1]
    assert found["missing"][0].startswith("smoke, pair 2, naive_sync: ")
    assert found["missing"][1:] == ["1 of 3 trials: interrupted"]


def generator(family: list[psutil.Process]) -> psutil.Process:
    return next(process for process in family if any("locustfile" in word for word in process.cmdline()))


def test_twins_that_run_already_are_measured_and_left_alone(
    stack: Stack, naive_url: str, async_url: str, tmp_path: Path
) -> None:
    stack.start_twin("floor")
    pids = {role: stack.pid(role) for role in ("naive_sync", "async_dedup", "floor", "mysql", "redis")}
    client.log(naive_url, "there before")
    ended = subprocess.run(
        [*command(tmp_path), "--running"],
        env=environment(stack.settings),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode in (0, bench.NOTHING_VALID), ended.stdout + ended.stderr
    (path,) = tmp_path.glob("results/*/results.json")
    found = json.loads(path.read_text())
    assert found["command"] == "make compose-bench PROFILE=smoke PAIRS=1 SEED=1"
    counts = {each["twin"]: each["reconcile"] for each in found["trials"]}
    assert all(count["acknowledged"] > 50 for count in counts.values())
    assert counts["naive_sync"]["extra"] == 0
    assert counts["async_dedup"]["recorded"] == counts["async_dedup"]["acknowledged"]
    assert client.get(naive_url, f"/api/v1/errors/{fingerprint('there before')}").status == 200
    assert pids == {role: stack.pid(role) for role in pids}
    assert all(map(stack.alive, pids))
    stack.stop_twin("floor")


def test_a_twin_that_does_not_run_is_told(tmp_path: Path) -> None:
    ended = subprocess.run(
        [*command(tmp_path), "--running"],
        env=private(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == bench.FAILED
    assert ended.stderr.startswith("bench: mysql does not run: nobody listens on 127.0.0.1:")


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


def busy(*lost: int) -> Results:
    """A smoke run on a machine where no timing was valid."""
    trials = [
        trial(1, twin, p95=30.0, lost=each, profile="smoke") for twin, each in zip(TWINS, lost, strict=True)
    ]
    for each in trials:
        each["valid"], each["invalid_reasons"] = False, ["30% of the CPU time went to other work"]
    return results(trials) | {"profile": "smoke", "comparison": []}


def test_a_smoke_run_is_about_the_counts_also_on_a_busy_machine() -> None:
    assert bench.status(busy(3, 0)) == 0
    assert bench.status(busy(0, 1)) == bench.FAILED
    assert bench.status(busy(0, 0) | {"missing": ["smoke, pair 1, naive_sync: why"]}) == bench.FAILED
    silent = busy(0, 0)
    silent["trials"][0]["reconcile"]["acknowledged"] = 0
    assert bench.status(silent) == bench.FAILED


def test_the_exit_status_tells_that_a_trial_failed() -> None:
    trials = [trial(1, "naive_sync", p95=30.0), trial(1, "async_dedup", p95=10.0)]
    assert bench.status(results(trials) | {"missing": ["ramp, pair 2, naive_sync: why"]}) == bench.FAILED


def test_one_twin_alone_has_nothing_to_be_compared_with() -> None:
    alone = trial(1, "naive_sync", p95=30.0)
    assert bench.status(results([alone])) == 0
    alone["levels"][0]["valid"] = False
    assert bench.status(results([alone])) == bench.NOTHING_VALID


def test_neither_a_smoke_run_nor_one_twin_alone_is_published() -> None:
    assert bench.parse(["--profile", "smoke"]).results == bench.RUN_DIR / "results"
    assert bench.parse(["--twins", "naive_sync"]).results == bench.RUN_DIR / "results"
    assert bench.parse(["--running"]).results == bench.RUN_DIR / "results"
    assert bench.parse([]).results == RESULTS


@pytest.mark.parametrize(
    ("arguments", "typed"),
    [
        ("", "PROFILE=ramp PAIRS=3 SEED=1"),
        ("--profile full", "PROFILE=full PAIRS=12 SEED=1"),
        ("--profile soak --seed 7", "PROFILE=soak PAIRS=1 SEED=7"),
        ("--twins async_dedup,naive_sync --pairs 4", "PROFILE=ramp PAIRS=4 SEED=1"),
        ("--twins async_dedup", "PROFILE=ramp PAIRS=3 SEED=1 TWINS=async_dedup"),
        ("--profile knee --host http://a:1/", "PROFILE=knee PAIRS=3 SEED=1 HOST=http://a:1"),
    ],
)
def test_the_command_says_what_was_run(arguments: str, typed: str) -> None:
    assert bench.command(bench.parse(arguments.split())) == f"make bench {typed}"


@pytest.mark.parametrize(
    "arguments",
    [
        "--twins naive",
        "--twins other",
        "--twins ,",
        "--host localhost:9001",
        "--pairs 0",
        "--running --host http://a:1",
        "--running --twins upsert",
    ],
)
def test_what_can_not_be_run_is_refused(arguments: str) -> None:
    with pytest.raises(SystemExit):
        bench.parse(arguments.split())


def test_a_third_implementation_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    ended = subprocess.run(
        [*command(tmp_path), "--host", "http://127.0.0.1:9"],
        env=private(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == bench.FAILED
    assert ended.stderr.startswith("bench: http://127.0.0.1:9/api/v1/health does not answer")
    assert "nothing was written" in ended.stderr
    assert ended.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            "--profile smok",
            "PROFILE=smok: choose from ramp, spike, soak, smoke, knee, full (did you mean smoke?)",
        ),
        ("--seed seven", "SEED=seven: a whole number is needed"),
        ("--pairs 0", "PAIRS: '0' is no number of pairs"),
        ("--host localhost", "HOST: 'localhost' is no http:// address"),
    ],
)
def test_what_is_wrong_is_said_in_words_of_make(
    arguments: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        bench.parse(arguments.split())
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"bench: {said}\n"


def make(*words: str) -> "subprocess.CompletedProcess[str]":
    # Within `make test` it would take that make's flags, and tell where it is.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("given", "meant"), [("PROFIL=smoke", "PROFILE"), ("pairs=2", "PAIRS"), ("TWIN=naive_sync", "TWINS")]
)
def test_a_variable_that_make_does_not_know_is_refused(given: str, meant: str) -> None:
    ended = make("--dry-run", "bench", given)
    assert ended.returncode == 2
    assert f"no such variable: {given.partition('=')[0]}; did you mean {meant}?" in ended.stderr
    assert ended.stdout == ""


def test_a_setting_may_be_given_to_make() -> None:
    assert make("--dry-run", "bench", "TWINS_FLUSH_INTERVAL=2").returncode == 0
    ended = make("--dry-run", "bench", "FLUSH_INTERVAL=2")
    assert ended.returncode == 2
    assert "settings: TWINS_" in ended.stderr


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (["PROFILE=knee", "PAIRS=2", "SEED=3"], "--profile knee --pairs 2 --seed 3"),
        (["TWINS=async_dedup", "HOST=http://a:1"], "--twins async_dedup --host http://a:1"),
    ],
)
def test_make_passes_its_variables_on(variables: list[str], expected: str) -> None:
    shown = make("--dry-run", "bench", *variables).stdout
    assert " ".join(shown.split("loadtests.bench")[1].split()) == expected
