"""Lab 9: what is recorded tells each cause from all others, and a learner is told why it was not another."""

import re
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from loadtests.bootstrap import ROOT
from loadtests.labs import dashboard, recording, replay
from loadtests.labs.causes import CAUSES, LINES, NUMBERS
from loadtests.labs.dashboard import INCIDENTS, LAB
from loadtests.labs.desk import Desk
from loadtests.labs.progress import Progress
from loadtests.labs.queries import LE
from loadtests.labs.recording import Values, names, recorded
from loadtests.labs.scraping import in_series
from loadtests.live.counts import quantile
from loadtests.live.sampler import EVERY
from loadtests.load.pace import PACE
from shared.settings import variable
from tests.labs.benches import FakeBench
from tests.observed import seen

AT_ONCE = 1e6
"""Times as fast."""
MOST_BYTES = 100_000
SOME = ("mysql", "scheduler", "cpu", "worker", "slow", "lock")
PAIRS = [(true, said) for true in CAUSES for said in CAUSES if said != true]


# --- what is recorded ---


def test_each_cause_was_recorded() -> None:
    assert set(names()) == CAUSES.keys()
    assert len(CAUSES) > INCIDENTS


@pytest.mark.parametrize("name", CAUSES)
def test_a_recording_is_whole(name: str, tmp_path: Path) -> None:
    found, path = recorded(name), recording.FOLDER / f"{name}.json"
    assert found.cause == name
    assert path.stat().st_size < MOST_BYTES
    recording.write(found, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == path.read_text()
    assert recording.read(tmp_path / "again.json") == found
    steps = [later - earlier for earlier, later in zip(found.at, found.at[1:], strict=False)]
    assert all(step == pytest.approx(EVERY, abs=EVERY / 2) for step in steps)
    assert found.at[0] < found.began - 10 < found.ended - 40 < found.at[-1] - 50
    for line in LINES:
        values = line.query.values(found)
        assert len(values) == len(found.at)
        assert any(value is not None for value in values), line.title


@pytest.mark.parametrize("name", CAUSES)
def test_all_signs_of_a_cause_are_seen_where_it_was_and_nowhere_else(name: str) -> None:
    """And each is needed: without it, another incident would look the same."""
    left = {*CAUSES}
    for sign in CAUSES[name].signs:
        seen = {other for other in left if sign.is_in(recorded(other))}
        assert seen < left, sign.words
        left = seen
    assert left == {name}


def test_every_metric_is_on_a_dashboard() -> None:
    shown = "".join(path.read_text() for path in (ROOT / "grafana" / "dashboards").glob("*.json"))
    asked = {series.name for line in LINES for series in line.query.asks}
    histograms = re.compile("_(sum|count|bucket)$")
    assert {name for name in asked if histograms.sub("", name) not in shown} == set()


@given(st.lists(st.lists(st.integers(0, 3), min_size=12, max_size=12), min_size=2, max_size=6))
def test_no_quantile_needs_the_buckets_that_are_left_out(fell: list[list[int]]) -> None:
    """`fell`: by scrape, how many fell into each bucket since the last one."""
    bounds = [*(2.0**power for power in range(11)), float("inf")]
    totals, answers = [0] * len(bounds), []
    for scrape in fell:
        totals = [total + more for total, more in zip(totals, scrape, strict=True)]
        cumulative = [sum(totals[: number + 1]) for number in range(len(bounds))]
        answers.append({f'b{{le="{le}"}}': float(n) for le, n in zip(bounds, cumulative, strict=True)})
    whole: dict[str, Values] = {name: [answer[name] for answer in answers] for name in answers[0]}
    left = in_series(answers)
    assert f'b{{le="{float("inf")}"}}' in left
    for q in (0.05, 0.5, 0.95):
        for now in range(1, len(fell)):
            assert grown(left, q, now) == pytest.approx(grown(whole, q, now))


def grown(series: dict[str, Values], q: float, scrape: int) -> float | None:
    growth = {
        float(LE.findall(name)[0]): (values[scrape] or 0) - (values[0] or 0)
        for name, values in series.items()
    }
    return quantile(q, growth)


# --- what a learner is told ---


def found(incidents: tuple[str, ...] = SOME) -> dashboard.Found:
    return {"incidents": [*incidents], "speed": AT_ONCE}


def test_the_incidents_are_drawn_for_each_learner(tmp_path: Path) -> None:
    drawn = [dashboard.measure(FakeBench(tmp_path), 8)["incidents"] for _ in range(10)]
    assert all(len(set(each)) == INCIDENTS for each in drawn)
    assert len({tuple(each) for each in drawn}) > 5


@pytest.mark.parametrize(("true", "said"), PAIRS)
def test_a_wrong_cause_gets_a_hint_that_fits_it(true: str, said: str) -> None:
    question, measured = LAB.checks[0], found((true,) * INCIDENTS)
    assert question.is_right(NUMBERS[true], measured)
    assert not question.is_right(NUMBERS[said], measured)
    hint = question.hint(NUMBERS[said], measured)
    assert hint
    assert hint.startswith(f"If {CAUSES[said].about}, ")
    contradicted = next(sign for sign in CAUSES[said].signs if not sign.is_in(recorded(true)))
    assert contradicted.words in hint
    assert f'"{contradicted.line.title}"' in hint
    assert re.search(r"is (no value|[\d.,]+\S*( \S+)?) before, (no value|[\d.,]+\S*( \S+)?) then\.$", hint), (
        hint
    )


def test_a_number_of_no_cause_gets_no_hint(tmp_path: Path) -> None:
    said = learn(tmp_path, "", "12", "0")
    assert said.count("From 1 to 9, please.") == 2
    assert "No. " not in said


def test_the_prediction_is_held_against_the_recordings() -> None:
    assert LAB.predict.truth(found(("scheduler",) * INCIDENTS)) == 0
    assert LAB.predict.truth(found(("cpu",) * INCIDENTS)) == INCIDENTS


def test_each_incident_has_all_hints() -> None:
    assert all(len(question.hints) == 4 for question in LAB.checks)


def test_the_solution_has_the_queries_with_their_values() -> None:
    told = LAB.checks[1].solution(found())
    assert told.startswith(f"{NUMBERS['scheduler']}: the scheduler is dead.")
    assert 'flush_age_seconds{job="async_dedup"}' in told
    assert re.search(r"older and older: [\d.]+ s before, [\d.]+ s then", told)


def learn(folder: Path, *lines: str) -> str:
    """What a learner has seen who has predicted; after the last line they leave."""
    console, said = Console(record=True, file=StringIO(), width=80, highlight=False), iter(lines)

    def ask(prompt: str) -> str:
        console.print(prompt)
        try:
            return next(said)
        except StopIteration:
            raise EOFError from None

    progress = Progress(folder)
    if not progress.of(LAB.number):
        progress.keep(LAB.number, {"predicted": 3, "knob": 8, "measured": found()})
    Desk(console, progress, FakeBench(folder), ask).go_through(LAB)
    return console.export_text()


def test_a_learner_names_all_six_in_two_sittings(tmp_path: Path) -> None:
    numbers = [str(NUMBERS[name]) for name in SOME]
    first = learn(tmp_path, "", numbers[1], numbers[0], "", "s", numbers[1])
    order = ["Incident 1 of 6", f"If {CAUSES[SOME[1]].about}", "Right.", "Incident 2 of 6"]
    places = [first.index(each) for each in order]
    assert places == sorted(places)
    assert first.count("The queries that show it:") == 3, "asked for once, and after each right answer"
    assert first.count("Incident 2 of 6") == 2
    assert "Incident 3 of 6" in first
    assert Progress(tmp_path).of(LAB.number).get("answered") == 2
    second = learn(tmp_path, "", *numbers[2:], "n")
    assert "Incident 2 of 6" not in second
    assert "Lab 9 is passed." in second
    for cause in CAUSES.values():
        assert cause.about in " ".join(second.split())


def test_the_page_stays_while_the_learner_thinks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, asked = FakeBench(tmp_path), list[str]()
    progress = Progress(tmp_path)
    progress.keep(LAB.number, {"predicted": 3, "knob": 8, "measured": found()})
    numbers = iter(["", "", str(NUMBERS[SOME[0]])])

    def ask(prompt: str) -> str:
        if "Which of the" in prompt:
            samples = seen(f"http://127.0.0.1:{bench.live_port}")
            asked.append(str(samples[-1]["step"]))
            assert len(samples) == len(recorded(SOME[len(asked) // 3]).at)
        return next(numbers, "q")

    monkeypatch.setattr(replay, "sleep", lambda _: None)
    Desk(Console(file=StringIO()), progress, bench, ask).go_through(LAB)
    assert asked == [f"Incident {number} of 6, replayed" for number in (1, 1, 2)]
    with pytest.raises(OSError, match="refused"):
        seen(f"http://127.0.0.1:{bench.live_port}")


def test_a_row_has_room_in_a_terminal(tmp_path: Path) -> None:
    seen = learn(tmp_path, "")
    for line in LINES:
        (row,) = [row for row in seen.splitlines() if row.startswith(f"│ {line.title} ")]
        assert row.endswith("│")
    assert "…" not in seen


# --- the replay ---


@pytest.fixture
def quiet() -> Console:
    return Console(file=StringIO(), width=80)


def test_it_reaches_the_page(tmp_path: Path, quiet: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    seen_there: list[int] = []
    shown, bench = recorded("scheduler"), FakeBench(tmp_path)

    def look(seconds: float) -> None:
        assert seconds == PACE * EVERY / 8
        if len(seen_there) % 20 == 0 or len(seen_there) == len(shown.at) - 1:
            samples = seen(f"http://127.0.0.1:{bench.live_port}")
            assert [sample["at"] for sample in samples] == [each["at"] for each in every[: len(samples)]]
            assert samples[-1] == every[len(samples) - 1]
            seen_there.append(len(samples))
        else:
            seen_there.append(0)

    every = [*replay.samples(shown, "Incident 1 of 6")]
    monkeypatch.setattr(replay, "sleep", look)
    with replay.replay(bench, quiet, shown, "Incident 1 of 6", 8):
        pass
    assert seen_there[0] == 1
    assert seen_there[-1] == len(every) == len(shown.at)


def test_the_page_draws_what_was_recorded() -> None:
    every = [*replay.samples(recorded("scheduler"), "Incident 1 of 6")]
    last = [each for each in every if each["at"] - every[0]["at"] < recorded("scheduler").ended][-1]["charts"]
    assert last["p95"].keys() == {"naive_sync", "async_dedup"}
    assert (last["freshness"]["since the last flush"] or 0) > 20
    assert (last["freshness"]["event to row, p95"] or 9) < 3
    assert (last["rates"]["naive_sync"] or 0) > 50


def test_where_the_port_is_taken_the_terminal_is_enough(
    tmp_path: Path, silent_port: int, quiet: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    bench = FakeBench(tmp_path)
    bench.live_port = silent_port
    monkeypatch.setattr(bench, "step", told.append)
    with replay.replay(bench, quiet, recorded("cpu"), "Incident 1 of 6", AT_ONCE):
        pass
    assert f"port {silent_port} is taken" in told[0]
    assert variable("live_port") in told[1]
    assert "since the last flush" in quiet.file.getvalue()  # type: ignore[attr-defined]
