"""Two nodes of the API, each a peer of the other: Redis goes, then they lose each other, then all is back."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from loadtests.stack import nodes
from loadtests.stack.proxy import WELL, Trouble
from loadtests.stack.scrape import fetch
from loadtests.studies.faults.world import API, REDIS, World
from shared.settings import variables

SERVICES = "/api/v1/services"
QUOTA = variables(rate_limit=60, rate_burst=60)
"""Of each service: less than the history sends."""


@contextmanager
def two_nodes(world: World) -> Iterator[None]:
    """The second runs from here on; the twin that is started within is the first."""
    stack, (first, second) = world.stack, nodes.NODES
    with ExitStack() as end:
        world.nodes = end.enter_context(nodes.two_nodes(stack.settings))
        end.enter_context(world.around({**QUOTA, **world.nodes.own[first]}, API))
        end.callback(stack.stop, second)
        stack.start(second, more={second: {**QUOTA, **world.nodes.own[second]}})
        yield


@contextmanager
def every_mode(world: World) -> Iterator[None]:
    """redis, peer, local, peer, redis: each of the four transitions, on both nodes."""
    world.kill(REDIS)
    _await_mode(world, "peer")
    world.nodes.trouble(Trouble(is_black_hole=True))
    _await_mode(world, "local")
    world.nodes.trouble(WELL)
    _await_mode(world, "peer")
    world.start(REDIS)
    yield
    _await_mode(world, "redis")


def _await_mode(world: World, mode: str) -> None:
    world.await_that(
        lambda: all(_mode(world.stack.address(node)) == mode for node in nodes.NODES),
        f"both are in mode {mode}",
    )


def _mode(address: str) -> str | None:
    text = fetch(address, 2.0, SERVICES)
    return json.loads(text)["data"].get("mode") if text else None
