"""What lies between the twin and its servers, by a proxy: the twin is started with the proxy's port."""

from collections.abc import Iterator
from contextlib import contextmanager

from loadtests.stack.proxy import Proxy, Trouble
from loadtests.studies.faults.world import API, SCHEDULER, WORKER, Hold, World
from shared.settings import variable

DELAYED = Trouble(delay=0.1)
NARROW = Trouble(bytes_per_second=20_000)
CUT_REQUEST, CUT_REPLY = Trouble(cut="request"), Trouble(cut="reply")
BLACK_HOLE = Trouble(is_black_hole=True)


def behind(server: str) -> Hold:
    """Every process of the twin talks to `server` through `world.proxy`."""

    @contextmanager
    def hold(world: World) -> Iterator[None]:
        own = "redis_port" if server == "redis" else "mysql_port"
        world.proxy = Proxy(getattr(world.stack.settings, own))
        try:
            with world.around({variable(own): str(world.proxy.port)}, API, WORKER, SCHEDULER):
                yield
        finally:
            world.proxy.close()

    return hold


def troubled(trouble: Trouble) -> Hold:
    @contextmanager
    def hold(world: World) -> Iterator[None]:
        assert world.proxy
        with world.proxy.troubled(trouble):
            yield

    return hold
