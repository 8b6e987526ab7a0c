"""Two nodes of the API, each a peer of the other: Redis goes, then they lose each other, then all is back."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from loadtests.stack.proxy import LOOPBACK, WELL, Proxy, Trouble
from loadtests.stack.roles import SECOND
from loadtests.stack.scrape import fetch
from loadtests.studies.faults.world import API, REDIS, World
from shared.settings import variable

SERVICES = "/api/v1/services"
SECRET = "of the two nodes of a campaign"  # noqa: S105 - they listen on loopback only
QUOTA = {"rate_limit": "60", "rate_burst": "60"}
"""Of each service: less than the history sends."""


@contextmanager
def two_nodes(world: World) -> Iterator[None]:
    """The second runs from here on; the twin that is started within is the first."""
    stack, settings = world.stack, world.stack.settings
    ports = {API: settings.peer_port, SECOND.name: settings.second_peer_port}
    with ExitStack() as end:
        proxies = {name: Proxy(port) for name, port in ports.items()}
        for proxy in proxies.values():
            end.callback(proxy.close)
        world.relays = [*proxies.values()]
        own = {
            name: _variables(peer_port=ports[name], peers=f"{LOOPBACK}:{proxies[other].port}")
            for name, other in ((API, SECOND.name), (SECOND.name, API))
        }
        own[SECOND.name] |= _variables(spool_folder=settings.spool_folder / SECOND.name)
        end.enter_context(world.around(own[API], API))
        end.callback(stack.stop, SECOND.name)
        stack.start(SECOND.name, more={SECOND.name: own[SECOND.name]})
        yield


def _variables(**values: object) -> dict[str, str]:
    return {variable(name): str(value) for name, value in {**QUOTA, "peer_secret": SECRET, **values}.items()}


@contextmanager
def every_mode(world: World) -> Iterator[None]:
    """redis, peer, local, peer, redis: each of the four transitions, on both nodes."""
    world.kill(REDIS)
    _await_mode(world, "peer")
    _trouble(world, Trouble(is_black_hole=True))
    _await_mode(world, "local")
    _trouble(world, WELL)
    _await_mode(world, "peer")
    world.start(REDIS)
    yield
    _await_mode(world, "redis")


def _trouble(world: World, trouble: Trouble) -> None:
    for relay in world.relays:
        relay.trouble = trouble


def _await_mode(world: World, mode: str) -> None:
    nodes = (world.role(API), SECOND.name)
    world.await_that(
        lambda: all(_mode(world.stack.address(node)) == mode for node in nodes), f"both are in mode {mode}"
    )


def _mode(address: str) -> str | None:
    text = fetch(address, 2.0, SERVICES)
    return json.loads(text)["data"].get("mode") if text else None
