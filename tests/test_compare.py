"""Two runs side by side: every outcome of `make compare`."""

import json
from pathlib import Path
from typing import Any

import pytest

from loadtests import compare
from loadtests.analysis.results import Results
from loadtests.compare import IMPOSSIBLE, WORSE
from tests.samples import full, knee_trial, results, trial

NOISE = (0.97, 1.0, 1.03, 0.99, 1.02, 1.01)


def run(name: str, naive: float = 30.0, async_: float = 10.0, pairs: int = 6, lost: int = 0) -> Results:
    """A ramp of one level with a little noise."""
    trials = [
        trial(pair, twin, p95 * NOISE[pair % 6], lost=lost if twin == "async_dedup" else 0)
        for pair in range(1, pairs + 1)
        for twin, p95 in (("naive_sync", naive), ("async_dedup", async_))
    ]
    made = results(trials)
    made["run"] = name
    return made


class Outcome:
    def __init__(self, status: int, capsys: pytest.CaptureFixture[str]) -> None:
        self.status = status
        self.out, self.err = capsys.readouterr()


class Runs:
    """Writes two runs and compares them as at the terminal."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder, self._capsys = folder, capsys

    def __call__(self, before: Any, after: Any, *options: str) -> Outcome:
        paths = []
        for name, content in (("a", before), ("b", after)):
            path = self._folder / name / "results.json"
            path.parent.mkdir()
            path.write_text(json.dumps(content))
            paths.append(str(path.parent))
        return Outcome(compare.main([*paths, *options]), self._capsys)


@pytest.fixture
def compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Runs:
    return Runs(tmp_path, capsys)


def test_a_run_is_not_worse_than_itself(compared: Runs) -> None:
    found = compared(full(6), full(6))
    assert found.status == 0
    assert "Nothing is worse by more than 10 % and more than noise." in found.out
    assert "The floor's p95 changed by +0.0 %" in found.out


def test_what_is_slower_by_more_than_noise_is_worse(compared: Runs) -> None:
    found = compared(run("a"), run("b", async_=13.0))
    assert found.status == WORSE
    assert "Worse: ramp 10 users, async_dedup: p95 in ms from 10.05 to 13.07 (+30.0 %)." in found.out
    assert "naive_sync: p95" not in found.out
    assert "a, then b" in found.out


def test_what_is_faster_is_a_change_and_not_worse(compared: Runs) -> None:
    found = compared(run("a"), run("b", async_=7.0))
    assert (found.status, "Worse" in found.out) == (0, False)
    assert "a change" in found.out


def test_below_the_threshold_it_is_not_worse(compared: Runs) -> None:
    assert compared(run("a"), run("b", async_=13.0), "--threshold", "40").status == 0


def test_a_change_within_the_noise_is_none(compared: Runs) -> None:
    """The median is 30 % higher, and a third of the trials are faster than before."""
    after = run("b")
    slow = [each for each in after["trials"] if each["twin"] == "async_dedup"]
    for each, p95 in zip(slow, (9.0, 9.0, 13.0, 13.0, 13.0, 13.0), strict=True):
        each["levels"][0]["latency_ms"]["p95"] = p95
    found = compared(run("a"), after)
    assert found.status == 0
    assert "+29.4 %" in found.out


def test_a_rate_that_was_too_much_in_one_trial_is_not_compared(compared: Runs) -> None:
    before = results([knee_trial(pair, "async_dedup", 800, 10.0) for pair in range(1, 7)])
    after = results(
        [knee_trial(pair, "async_dedup", 400 if pair == 3 else 800, 10.0) for pair in range(1, 7)]
    )
    out = compared(before, after).out
    assert "knee 400/s" in out
    assert "knee 800/s" not in out


def test_too_few_trials_are_never_a_regression_of_latency(compared: Runs) -> None:
    found = compared(run("a", pairs=3), run("b", async_=100.0, pairs=3))
    assert found.status == 0
    assert "Too few trials to tell a change from noise" in found.out
    assert "+900.0 %" in found.out


def test_fewer_answers_are_worse(compared: Runs) -> None:
    after = run("b")
    for each in after["trials"]:
        each["levels"][0]["achieved_rps"] = 60.0
    found = compared(run("a"), after)
    assert found.status == WORSE
    assert "answers/s from 95.25 to 60.00" in found.out


def test_more_cpu_per_event_is_worse(compared: Runs) -> None:
    after = run("b")
    for each in after["trials"]:
        each["cpu_seconds"]["app"] = 9.0
    assert "CPU s per 1,000 events from 3.50 to 10.50 (+200.0 %)" in compared(run("a"), after).out


def test_the_generator_s_cpu_is_not_the_twin_s(compared: Runs) -> None:
    after = run("b")
    for each in after["trials"]:
        each["cpu_seconds"]["generator"] = 9.0
    assert compared(run("a"), after).status == 0


def test_a_lower_knee_is_worse(compared: Runs) -> None:
    before, after = (
        results([knee_trial(pair, "async_dedup", knee, 10.0) for pair in range(1, 7)]) for knee in (800, 400)
    )
    found = compared(before, after)
    assert found.status == WORSE
    assert "Worse: knee, async_dedup: knee in requests/s from 800 to 400 (-50.0 %)." in found.out


def test_one_more_lost_count_is_worse_even_in_one_trial(compared: Runs) -> None:
    found = compared(run("a", pairs=1), run("b", pairs=1, lost=1))
    assert found.status == WORSE
    assert "Worse: ramp, async_dedup: 1 events lost or doubled, 0 before." in found.out


def test_as_many_lost_counts_as_before_are_not_worse(compared: Runs) -> None:
    assert compared(run("a", lost=2), run("b", lost=2)).status == 0


def test_invalid_trials_are_out_of_the_figures_and_in_the_audit(compared: Runs) -> None:
    after = run("b", async_=13.0, lost=1)
    for each in after["trials"]:
        each["valid"] = False
    found = compared(run("a"), after)
    assert "p95" not in found.out.partition("Worse")[0].replace("The floor's p95", "")
    assert "6 events lost" in found.out


def test_other_machines_are_refused(compared: Runs) -> None:
    after = run("b")
    after["environment"]["cores"] = 64
    found = compared(run("a"), after)
    assert found.status == IMPOSSIBLE
    assert found.err == "compare: different machines: A | B, 2 cores; A | B, 64 cores\n"


def test_other_profiles_are_refused(compared: Runs) -> None:
    found = compared(run("a"), results([trial(1, "naive_sync", 3.0, profile="soak")]))
    assert found.status == IMPOSSIBLE
    assert "no profile in common: ramp; soak" in found.err


@pytest.mark.parametrize(("content", "says"), [({"schema": 1}, "not the shape"), ([], "not the shape")])
def test_another_file_is_refused(content: Any, says: str, compared: Runs) -> None:
    found = compared(run("a"), content)
    assert (found.status, says in found.err) == (IMPOSSIBLE, True)
    assert "Traceback" not in found.err


def test_what_is_no_json_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "results.json"
    broken.write_text("{")
    assert compare.main([str(broken), str(broken)]) == IMPOSSIBLE
    assert str(broken) in capsys.readouterr().err


def test_a_run_that_is_not_there_is_named_with_those_that_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "results.json").write_text(json.dumps(run("there")))
    monkeypatch.setattr(compare, "RESULTS", tmp_path)
    assert compare.main(["there", "gone"]) == IMPOSSIBLE
    assert capsys.readouterr().err == "compare: no run gone; the runs are: there\n"
    assert compare.main(["there", "there"]) == 0
