"""Every request is kept, and which events a server may have kept is known."""

from pathlib import Path
from time import perf_counter

import pytest

from loadtests.load.files import write_json
from loadtests.load.outcomes import FOLDED, THROTTLED, Outcomes
from loadtests.load.workload import Event
from shared.fingerprint import fingerprint
from shared.quota import overflow


@pytest.fixture
def outcomes() -> Outcomes:
    return Outcomes(perf_counter())


def add(outcomes: Outcomes, outcome: str, message: str = "m", sent: float = 0.0) -> None:
    at = outcomes.began + sent
    outcomes.add(Event(message, b""), at, at, at, outcome)


def test_a_success_is_acknowledged(outcomes: Outcomes) -> None:
    add(outcomes, "200")
    add(outcomes, "201")
    assert outcomes.packed()["acknowledged"] == {fingerprint("m"): 2}
    assert outcomes.packed()["failed"] == {}


@pytest.mark.parametrize(
    ("outcome", "unanswered"),
    [("500", 0), ("unsent", 0), ("503", 1), ("timeout", 1), ("connection", 1), ("abandoned", 1)],
)
def test_unanswered_are_those_whose_event_may_have_been_kept(
    outcomes: Outcomes, outcome: str, unanswered: int
) -> None:
    add(outcomes, outcome)
    packed = outcomes.packed()
    assert packed["failed"] == {outcome: 1}
    assert packed["acknowledged"] == {}
    assert sum(packed["unanswered"].values()) == unanswered


def test_a_folded_event_is_acknowledged_on_the_overflow_issue_of_its_service(outcomes: Outcomes) -> None:
    at = outcomes.began
    outcomes.add(Event("m", b"", "shop"), at, at, at, FOLDED)
    outcomes.add(Event("m", b"", "shop"), at, at, at, "200")
    outcomes.add(Event("m", b""), at, at, at, FOLDED)
    packed = outcomes.packed()
    in_shop, folded = fingerprint("m", "shop"), overflow("shop").fingerprint
    assert packed["acknowledged"] == {in_shop: 1, folded: 1, overflow("default").fingerprint: 1}
    assert packed["service_of"] == {in_shop: "shop", folded: "shop"}
    assert packed["service"] == ["shop", "shop", "default"]


def test_a_throttled_event_is_neither_kept_nor_in_doubt(outcomes: Outcomes) -> None:
    add(outcomes, THROTTLED)
    packed = outcomes.packed()
    assert packed["failed"] == {"429": 1}
    assert packed["acknowledged"] == packed["unanswered"] == {}


def test_times_are_those_since_the_start(outcomes: Outcomes) -> None:
    began = outcomes.began
    outcomes.add(Event("m", b""), began + 1, began + 2, began + 3, "200")
    assert (outcomes.due[0], outcomes.ready[0], outcomes.sent[0]) == pytest.approx((1, 2, 3))
    assert 0 <= outcomes.ended[0] <= perf_counter() - began


def test_p95_so_far_comes_from_all_of_a_level_and_of_no_other(outcomes: Outcomes) -> None:
    for _ in range(50):
        add(outcomes, "200", sent=-1e6)
    for number in range(10_000):
        add(outcomes, "200", sent=-number)  # seconds ago: what this test itself takes is nothing beside it
    assert outcomes.p95_since(50) == pytest.approx(9_500_000, rel=0.01)
    assert outcomes.p95_since(10_050) is None


def test_a_file_is_written_at_once(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "results.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert path.read_text() == '{\n "a": 1\n}\n'
