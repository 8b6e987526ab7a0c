"""Where rates are decided, by what the machine is told; neither store nor peer is needed for that."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from async_dedup.modes import HEARD, SILENT, Mode, Modes
from async_dedup.states import State


def cycles(modes: Modes, heard: bool, number: int) -> Mode:
    for _ in range(number):
        modes.cycle(heard)
    return modes.mode


def without_redis(has_peers: bool) -> Modes:
    modes = Modes(has_peers)
    modes.ingest_is(State.DIRECT)
    return modes


def test_it_begins_with_redis() -> None:
    assert Modes(has_peers=True).mode is Mode.REDIS
    assert Modes(has_peers=False).mode is Mode.REDIS


@pytest.mark.parametrize("state", [State.DIRECT, State.SPOOL])
def test_without_redis_the_peers_are_asked(state: State) -> None:
    modes = Modes(has_peers=True)
    modes.ingest_is(state)
    with_peers = modes.mode
    modes.ingest_is(State.REDIS)
    assert (with_peers, modes.mode) == (Mode.PEER, Mode.REDIS)


def test_five_cycles_without_a_peer_and_there_is_none() -> None:
    modes = without_redis(has_peers=True)
    assert cycles(modes, False, SILENT - 1) is Mode.PEER
    assert cycles(modes, True, 1) is Mode.PEER
    assert cycles(modes, False, SILENT - 1) is Mode.PEER
    assert cycles(modes, False, 1) is Mode.LOCAL


def test_three_cycles_with_a_peer_and_there_is_one_again() -> None:
    modes = without_redis(has_peers=True)
    cycles(modes, False, SILENT)
    assert cycles(modes, True, HEARD - 1) is Mode.LOCAL
    assert cycles(modes, False, 1) is Mode.LOCAL
    assert cycles(modes, True, HEARD - 1) is Mode.LOCAL
    assert cycles(modes, True, 1) is Mode.PEER


def test_who_has_no_peers_is_alone_at_once() -> None:
    assert without_redis(has_peers=False).mode is Mode.LOCAL


def test_peers_are_watched_while_redis_is_there() -> None:
    modes = Modes(has_peers=True)
    assert cycles(modes, False, SILENT) is Mode.REDIS
    modes.ingest_is(State.DIRECT)
    assert modes.mode is Mode.LOCAL


@given(st.lists(st.one_of(st.booleans(), st.sampled_from(State))))
def test_redis_decides_exactly_while_events_go_there(told: list[bool | State]) -> None:
    modes, state = Modes(has_peers=True), State.REDIS
    for each in told:
        if isinstance(each, State):
            state = each
            modes.ingest_is(each)
        else:
            modes.cycle(each)
        assert (modes.mode is Mode.REDIS) is (state is State.REDIS)
