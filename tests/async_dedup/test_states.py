"""The states, by what they are told; no store is needed for that."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from async_dedup.states import ANSWERS, FAILURES, MOST_ANSWERS, SHORT, Part, State, States


class Told:
    """A machine whose clock goes on by a second with each thing it is told."""

    def __init__(self) -> None:
        self.clock = 0.0
        self.machine = States(self.clock)

    def failed(self, part: Part, times: int = 1) -> State:
        for _ in range(times):
            self.clock += 1
            self.machine.failed(part, f"{part} is away", self.clock)
        return self.machine.state

    def answered(self, part: Part, times: int = 1) -> State:
        for _ in range(times):
            self.clock += 1
            self.machine.answered(part, self.clock)
        return self.machine.state


@pytest.fixture
def told() -> Told:
    return Told()


def in_state(state: State) -> Told:
    told = Told()
    if state is not State.REDIS:
        told.failed("redis", 3)
    if state is State.SPOOL:
        told.failed("mysql", 5)
    assert told.machine.state is state
    return told


def test_it_begins_with_redis_and_no_doubt(told: Told) -> None:
    assert (told.machine.state, told.machine.reason, told.machine.in_doubt) == (State.REDIS, "", False)


def test_three_failures_in_a_row_leave_redis(told: Told) -> None:
    assert told.failed("redis", 2) is State.REDIS
    assert told.machine.in_doubt
    assert told.failed("redis") is State.DIRECT
    assert (told.machine.since, told.machine.reason, told.machine.in_doubt) == (3.0, "redis is away", False)


def test_five_failures_in_a_row_leave_mysql() -> None:
    told = in_state(State.DIRECT)
    assert told.failed("mysql", 4) is State.DIRECT
    assert told.machine.in_doubt
    assert told.failed("mysql") is State.SPOOL
    assert told.machine.reason == "mysql is away"


@pytest.mark.parametrize(("state", "part"), [(State.REDIS, "redis"), (State.DIRECT, "mysql")])
def test_an_answer_between_failures_ends_the_doubt(state: State, part: Part) -> None:
    told = in_state(state)
    for _ in range(5):
        told.failed(part, FAILURES[state] - 1)
        assert told.answered(part) is state
        assert not told.machine.in_doubt


@pytest.mark.parametrize(
    ("state", "part", "better"),
    [
        (State.DIRECT, "redis", State.REDIS),
        (State.SPOOL, "redis", State.REDIS),
        (State.SPOOL, "mysql", State.DIRECT),
    ],
)
def test_a_store_is_back_after_three_answers_in_a_row(state: State, part: Part, better: State) -> None:
    told = in_state(state)
    assert told.answered(part, ANSWERS - 1) is state
    assert told.failed(part) in (state, State.SPOOL)
    assert told.answered(part, ANSWERS - 1) is state
    assert told.answered(part) is better
    assert told.machine.reason == ""


@pytest.mark.parametrize(
    ("state", "part"), [(State.REDIS, "mysql"), (State.SPOOL, "redis"), (State.SPOOL, "mysql")]
)
def test_who_is_not_relied_on_may_fail(state: State, part: Part) -> None:
    told = in_state(state)
    assert told.failed(part, 20) is state
    assert not told.machine.in_doubt


def test_mysql_says_nothing_about_redis(told: Told) -> None:
    told.failed("redis", 2)
    told.answered("mysql", 20)
    assert told.failed("redis") is State.DIRECT


def test_a_store_that_comes_and_goes_is_believed_less_and_less(told: Told) -> None:
    needed = []
    for _ in range(6):
        told.failed("redis", 3)
        answers = 1
        while told.answered("redis") is State.DIRECT:
            answers += 1
        needed.append(answers)
    assert needed == [3, 6, 12, 24, 24, 24]
    assert needed[-1] == MOST_ANSWERS
    told.clock += SHORT
    told.failed("redis", 3)
    assert told.answered("redis", ANSWERS) is State.REDIS


@given(st.lists(st.tuples(st.sampled_from(["redis", "mysql"]), st.booleans()), max_size=60))
def test_whatever_it_is_told_it_changes_only_by_what_is_drawn(history: list[tuple[Part, bool]]) -> None:
    drawn = {
        (State.REDIS, State.DIRECT): ("redis", False),
        (State.DIRECT, State.SPOOL): ("mysql", False),
        (State.DIRECT, State.REDIS): ("redis", True),
        (State.SPOOL, State.REDIS): ("redis", True),
        (State.SPOOL, State.DIRECT): ("mysql", True),
    }
    told, row = Told(), 0
    for at, (part, answers) in enumerate(history):
        before = told.machine.state
        after = told.answered(part) if answers else told.failed(part)
        if after is not before:
            assert drawn[before, after] == (part, answers)
            same = [each for each in history[row : at + 1] if each[0] == part]
            least = ANSWERS if answers else FAILURES[before]
            assert len(same) >= least
            assert all(outcome is answers for _, outcome in same[-least:])
            assert told.machine.since == told.clock
            row = at + 1
