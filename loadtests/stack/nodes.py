"""Two processes of the async twin's API as on two hosts, each a peer of the other."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from loadtests.load.subjects import ASYNC
from loadtests.stack.proxy import Proxy, Trouble
from loadtests.stack.roles import SECOND
from loadtests.stack.servers import LOOPBACK
from shared.settings import Settings, variables

NODES = (ASYNC, SECOND.name)
SECRET = "of two nodes on loopback"  # noqa: S105 - and for no longer than a study


class Nodes(NamedTuple):
    relays: list[Proxy]
    """Through which they reach each other."""
    own: Mapping[str, Mapping[str, str]]
    """By node, the variables with which it starts: the second has a spool of its own, as on another host."""

    def trouble(self, trouble: Trouble) -> None:
        """Between the two."""
        for relay in self.relays:
            relay.trouble = trouble


@contextmanager
def two_nodes(settings: Settings) -> Iterator[Nodes]:
    """Give what lies between them; who starts them is the caller."""
    first, second = NODES
    ports = {first: settings.peer_port, second: settings.second_peer_port}
    with ExitStack() as end:
        relays = {node: Proxy(port) for node, port in ports.items()}
        for relay in relays.values():
            end.callback(relay.close)
        own = {
            node: variables(
                peer_port=ports[node], peer_secret=SECRET, peers=f"{LOOPBACK}:{relays[other].port}"
            )
            for node, other in ((first, second), (second, first))
        }
        own[second] |= variables(spool_folder=settings.spool_folder / second)
        yield Nodes([*relays.values()], own)
