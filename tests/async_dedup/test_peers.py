"""API processes tell each other what they let through, over real connections; and a rule that is wrong."""

import asyncio
import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from async_dedup import peers
from async_dedup.buckets import Buckets
from async_dedup.modes import CYCLE
from async_dedup.peers import LENGTH, MAX_MESSAGE, MAX_STRANGERS, VERSION, Node, Peers
from shared.quota import MAX_SERVICES, Quotas
from shared.settings import Settings
from tests.conftest import free_settings
from tests.parts import LIMIT, wait_until

SECRET = "known to all of them"
RATE, BURST = 100.0, 10


class Told:
    """A node that tells what it is given, and keeps what it hears."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.passed: dict[str, tuple[int, float]] = {}
        self.heard: list[tuple[str, int, float]] = []
        self.peers = Peers(settings, name * 32, lambda _: self.passed, lambda *what: self.heard.append(what))

    def events(self, service: str) -> int:
        return sum(events for name, events, _ in self.heard if name == service)


def settings_of(nodes: int) -> list[Settings]:
    free = [free_settings() for _ in range(nodes)]
    return [
        each.model_copy(
            update={
                "peers": [f"127.0.0.1:{other.peer_port}" for other in free if other is not each],
                "peer_secret": SECRET,
            }
        )
        for each in free
    ]


@asynccontextmanager
async def nodes(*settings: Settings) -> AsyncIterator[list[Told]]:
    made = [Told(each, "abcdef"[number]) for number, each in enumerate(settings)]
    async with asyncio.timeout(LIMIT), AsyncExitStack() as stack:
        for each in made:
            await each.peers.start()
            stack.callback(each.peers.close)
        yield made


async def until(true: Callable[[], object]) -> None:
    await asyncio.to_thread(wait_until, true)


async def send(port: int, *parts: bytes) -> bytes:
    """Returns what the other side says until it ends the connection: nothing, ever."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def packed(body: bytes, secret: str = SECRET) -> bytes:
    return LENGTH.pack(len(body)) + hmac.digest(secret.encode(), body, hashlib.sha256) + body


def message(node: str, number: int, heard: Sequence[str] = (), **passed: int) -> bytes:
    made = {
        "version": VERSION,
        "node": node * 32,
        "number": number,
        "heard": list(heard),
        "services": {name: (events, 0.0) for name, events in passed.items()},
    }
    return json.dumps(made).encode()


def test_what_one_lets_through_the_others_hear_once() -> None:
    async def scenario() -> None:
        async with nodes(*settings_of(3)) as (one, two, three):
            await until(lambda: all(each.peers.reachable == 2 for each in (one, two, three)))
            one.passed = {"shop": (5, 0.5)}
            await until(lambda: two.events("shop") and three.events("shop"))
            one.passed = {"shop": (7, 0.7)}
            await until(lambda: two.events("shop") == three.events("shop") == 7)
            count = len(two.heard)
            await until(lambda: len(two.heard) > count + 5)  # told again and again, it is no more
            assert two.events("shop") == 7
            assert two.heard[-1] == ("shop", 0, 0.7)
            assert one.heard == []

    asyncio.run(scenario())


def test_a_peer_that_ends_is_not_reachable_and_one_that_comes_back_is_another() -> None:
    one, two = settings_of(2)

    async def scenario() -> None:
        async with nodes(one) as (first,):
            for name in "bc":
                second = Told(two, name)
                second.passed = {"shop": (100, 1.0)}
                await second.peers.start()
                await until(lambda: first.peers.reachable == 1)
                assert first.peers.cycle()
                second.peers.close()
                await until(lambda: first.peers.reachable == 0)
                first.peers.cycle()
                assert not first.peers.cycle()
            # What each had let through before it was heard is in how far ahead the service is.
            assert first.events("shop") == 0
            assert ("shop", 0, 1.0) in first.heard

    asyncio.run(scenario())


def test_who_is_heard_and_does_not_hear_is_no_peer() -> None:
    (mine, _) = settings_of(2)

    async def scenario() -> None:
        async with nodes(mine) as (node,):
            sending = asyncio.create_task(send(mine.peer_port, packed(message("b", 1))))
            await until(lambda: "b" * 32 in node.peers._nodes)
            assert node.peers.reachable == 0
            assert not node.peers.cycle()
            sending.cancel()
            again = asyncio.create_task(send(mine.peer_port, packed(message("b", 2, heard=["a" * 32]))))
            await until(node.peers.cycle)
            again.cancel()

    asyncio.run(scenario())


def test_an_old_message_says_nothing() -> None:
    (mine, _) = settings_of(2)

    async def scenario() -> None:
        async with nodes(mine) as (node,):
            bodies = [
                message("b", 1),
                message("b", 3, heard=["a" * 32], shop=5),
                message("b", 2, heard=["a" * 32], shop=50),
                message("b", 4, heard=["a" * 32], shop=6),
            ]
            sending = asyncio.create_task(send(mine.peer_port, *map(packed, bodies)))
            await until(lambda: node.events("shop") >= 6)
            assert [events for _, events, _ in node.heard] == [5, 1]
            sending.cancel()

    asyncio.run(scenario())


def test_what_a_peer_lets_through_while_it_does_not_hear_us_is_its_share_and_not_ours() -> None:
    """Else both would be silent, once they hear each other again, for as long as they did not."""
    (mine, _) = settings_of(2)

    async def scenario() -> None:
        async with nodes(mine) as (node,):
            us = ["a" * 32]
            bodies = [
                message("b", 1, heard=us),
                message("b", 2, heard=us, shop=5),
                message("b", 3, shop=100),
                message("b", 4, shop=200),
                message("b", 5, heard=us, shop=203),
            ]
            sending = asyncio.create_task(send(mine.peer_port, *map(packed, bodies)))
            await until(lambda: len(node.heard) == 4)
            assert [events for _, events, _ in node.heard] == [5, 0, 0, 3]
            sending.cancel()

    asyncio.run(scenario())


def test_peers_that_meet_again_do_not_count_what_each_let_through_by_itself() -> None:
    """Else both would be silent for as long as they were apart."""
    (mine, _) = settings_of(2)

    async def scenario() -> None:
        async with nodes(mine) as (node,):
            us = ["a" * 32]
            before = [message("b", 1, heard=us), message("b", 2, heard=us, shop=5)]
            after = [message("b", 9, heard=us, shop=500), message("b", 10, heard=us, shop=503)]
            for bodies in (before, after):
                await until(lambda: node.peers.reachable == 0)
                sending = asyncio.create_task(send(mine.peer_port, *map(packed, bodies)))
                await until(lambda: node.peers.reachable == 1)
                sending.cancel()
            await until(lambda: len(node.heard) == 3)
            assert [events for _, events, _ in node.heard] == [5, 0, 3]

    asyncio.run(scenario())


def test_messages_of_a_node_that_is_gone_do_not_bring_it_back() -> None:
    """Whoever has recorded them, with their signatures, sends them once more."""
    (mine, _) = settings_of(2)

    async def scenario() -> None:
        async with nodes(mine) as (node,):
            us = ["a" * 32]
            recorded = [packed(message("b", number, heard=us, shop=number)) for number in (1, 2)]
            for bodies in (recorded, [packed(message("c", 1))], recorded):
                sending = asyncio.create_task(send(mine.peer_port, *bodies))
                await until(lambda: len(node.peers._connections) == 1)
                await asyncio.sleep(CYCLE)
                sending.cancel()
                await until(lambda: not node.peers._connections)
                for each in node.peers._nodes.values():
                    each.heard_at -= 61
            assert len(node.heard) == 2

    asyncio.run(scenario())


STRANGERS = {
    "another secret": packed(message("b", 1, shop=5), "something else entirely"),
    "no signature": LENGTH.pack(10) + bytes(42),
    "too long": LENGTH.pack(MAX_MESSAGE + 1) + bytes(100),
    "no message": packed(b"[]"),
    "another version": packed(message("b", 1).replace(b'"version": 1', b'"version": 2')),
    "a number that is none": packed(message("b", 1).replace(b'"number": 1', b'"number": "1x"')),
    "too many services": packed(message("b", 1, (), **{f"s{number}": 1 for number in range(1_001)})),
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + bytes(100),
    "half a message": packed(message("b", 1, shop=5))[:-1],
    "silence": b"",
}


@pytest.mark.parametrize("sent", STRANGERS.values(), ids=STRANGERS)
def test_strangers_are_refused_and_stop_nobody(sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    first, second = settings_of(2)
    caplog.set_level(logging.WARNING)

    async def scenario() -> None:
        async with nodes(first, second) as (one, two):
            async with asyncio.timeout(LIMIT / 2):
                assert await send(first.peer_port, sent) == b""
            assert one.heard == []
            await until(lambda: one.peers.reachable == two.peers.reachable == 1)
            assert set(one.peers._nodes) <= {"b" * 32}

    asyncio.run(scenario())
    assert SECRET not in caplog.text


def test_many_strangers_at_once_part_no_peers() -> None:
    """Each says nothing; the oldest goes, so that a peer which connects meanwhile is heard."""
    first, second = settings_of(2)

    async def scenario() -> None:
        async with nodes(first) as (one,):
            silent = [asyncio.create_task(send(first.peer_port)) for _ in range(2 * MAX_STRANGERS)]
            await until(lambda: len(one.peers._strangers) == MAX_STRANGERS)
            two = Told(second, "b")
            await two.peers.start()
            await until(lambda: one.peers.reachable == 1)
            more = [asyncio.create_task(send(first.peer_port)) for _ in range(2 * MAX_STRANGERS)]
            await asyncio.gather(*silent, *more)
            assert one.peers.reachable == two.peers.reachable == 1
            two.peers.close()

    asyncio.run(scenario())


def test_of_a_peer_as_many_services_are_remembered_as_there_may_be() -> None:
    node = Node()
    assert node.is_told("shop", 5) == 5
    for number in range(3 * MAX_SERVICES):
        node.is_told(f"invented {number}", 1)
    assert len(node.passed) == 2 * MAX_SERVICES
    assert node.is_told("shop", 7) is None  # more than before, and nobody knows by how much
    assert node.is_told("shop", 9) == 2
    assert node.is_told("shop", 1) == 1


def test_a_port_that_is_taken_is_an_error() -> None:
    (one, _) = settings_of(2)

    async def scenario() -> None:
        async with nodes(one):
            with pytest.raises(OSError, match="in use"):
                await Told(one, "c").peers.start()

    asyncio.run(scenario())


def test_a_peer_that_no_connection_can_be_made_to_is_told_of_and_tried_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the settings let pass: nobody else would see that the telling has ended."""
    (mine, _) = settings_of(2)
    monkeypatch.setattr(peers, "ODD_SECONDS", CYCLE)

    async def scenario() -> None:
        async with nodes(mine.model_copy(update={"peers": ["a..b:1", "127.0.0.1:99999"]})):
            for peer in ("a..b:1", "127.0.0.1:99999"):
                await until(lambda: caplog.text.count(f"Can't talk to the peer {peer}") > 1)  # noqa: B023

    asyncio.run(scenario())


def test_a_peer_that_takes_nothing_holds_nobody_up() -> None:
    """It accepts connections, and never reads: what waits for it is bounded, and the others are told."""
    first, second = settings_of(2)

    async def scenario() -> None:
        held: list[asyncio.StreamWriter] = []
        deaf = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0, limit=1)
        port = deaf.sockets[0].getsockname()[1]
        both = first.model_copy(update={"peers": [f"127.0.0.1:{port}", *first.peers]})
        async with nodes(both, second) as (one, two):
            one.passed = {f"service {number} ".ljust(64, "x"): (number + 1, 0.0) for number in range(1_000)}
            await until(lambda: len(held) > 1)  # given up, and tried again
            await until(lambda: two.peers.reachable == 1)
            began = len(two.heard)
            await until(lambda: len(two.heard) > began + 1_000)
        deaf.close()
        for writer in held:
            writer.close()

    asyncio.run(scenario())


def simulated(number: int, seconds: float, exchange: Callable[[list[Buckets], float], None]) -> float:
    """Events a second that so many nodes let through together, offered far more; a cycle every 100 ms."""
    quotas = Quotas(Settings(rate_limit=RATE, rate_burst=BURST))
    made, through = [Buckets(quotas, 60.0) for _ in range(number)], 0
    for tick in range(int(seconds * 1_000)):
        now = tick / 1_000
        through += sum(not each.take("shop", 1.0, now) for each in made)
        if tick % 100 == 99:
            exchange(made, now)
    return through / seconds


@pytest.mark.parametrize("number", [2, 3, 5])
def test_counts_that_are_summed_keep_the_rate_and_told_tokens_do_not(number: int) -> None:
    told = [0] * number

    def sums(made: list[Buckets], now: float) -> None:
        counts = [dict(each)["shop"].passed for each in made]
        for node in range(number):
            others = sum(counts[each] - told[each] for each in range(number) if each != node)
            made[node].elsewhere("shop", others, 1.0, now, 60.0)
        told[:] = counts

    def smallest_wins(made: list[Buckets], now: float) -> None:
        ahead = max(dict(each)["shop"].arrival for each in made) - now
        for each in made:
            each.at_least("shop", ahead, now)

    seconds = 20.0
    # At most the burst of each node, and what it lets through in the first cycle, is too much.
    excess = number * (BURST + RATE * CYCLE) / seconds
    assert 0.97 * RATE <= simulated(number, seconds, sums) <= RATE + excess
    assert simulated(number, seconds, smallest_wins) > 0.9 * number * RATE
