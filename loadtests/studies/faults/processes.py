"""Processes killed, ended, frozen, at a moment that is drawn or at a named step; and many of a kind."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress

import psutil

from async_dedup import spool
from loadtests.load.subjects import ASYNC
from loadtests.stack import StackError, process
from loadtests.stack.servers import free_port
from loadtests.studies.faults.steps import REPLAY, environment
from loadtests.studies.faults.world import API, MYSQL, REDIS, SCHEDULER, STORES, WORKER, Hold, World
from loadtests.trial.generator import TrialFailed
from shared.settings import variable


def killed(*names: str) -> Hold:
    """Started again one after the other, in an order that is drawn."""

    @contextmanager
    def hold(world: World) -> Iterator[None]:
        for name in names:
            world.kill(name)
        yield
        for name in world.random.sample(names, len(names)):
            world.start(name)

    return hold


def ended(name: str) -> Hold:
    @contextmanager
    def hold(world: World) -> Iterator[None]:
        world.stop(name)
        yield
        world.start(name)

    return hold


def frozen(name: str) -> Hold:
    @contextmanager
    def hold(world: World) -> Iterator[None]:
        parent = psutil.Process(world.pid(name))
        family = [parent, *parent.children(recursive=True)]  # of gunicorn the parent serves nobody
        for each in family:
            each.suspend()
        try:
            yield
        finally:
            for each in family:
                each.resume()

    return hold


def without_redis(hold_other: Hold) -> Hold:
    @contextmanager
    def hold(world: World) -> Iterator[None]:
        with killed(REDIS)(world), hold_other(world):
            yield

    return hold


def killed_at(name: str, steps: Mapping[str, str], away: tuple[str, ...] = ()) -> Hold:
    """`name` begins anew and ends at one of `steps`; for that `away` are killed."""

    @contextmanager
    def hold(world: World) -> Iterator[None]:
        step = world.random.choice([*steps.values()])
        world.stop(name)
        with suppress(StackError):  # it may come to its end before it is ready
            world.start(name, **environment(step, "kill", world.random.randint(1, 2)))
        for each in away:
            world.kill(each)
        world.await_end(name)
        yield
        for each in world.random.sample(away, len(away)):
            world.start(each)
        world.start(name)

    return hold


@contextmanager
def killed_in_replay(world: World) -> Iterator[None]:
    """The API spools, MySQL comes back, alone or with Redis, and the API ends at a step of the replay."""
    back = world.random.choice([(MYSQL,), STORES])
    step = world.random.choice([*REPLAY.values()])
    folder = world.stack.settings.spool_folder
    world.await_that(lambda: not spool.files(folder), "what was spooled before is replayed")
    world.stop(API)
    world.start(API, **environment(step, "kill"))
    for each in STORES:
        world.kill(each)
    world.await_that(lambda: spool.size(folder) > 2_000, "groups are spooled")
    world.start(*back)
    world.await_end(API)
    yield
    world.start(*STORES)  # the one that runs is left alone
    world.start(API)


@contextmanager
def cut_off_one_after_the_other(world: World) -> Iterator[None]:
    """Two to four parts, each killed or frozen; all come back at once, in an order that is drawn."""
    names = world.random.sample((API, WORKER, SCHEDULER, *STORES), world.random.randint(2, 4))
    with ExitStack() as thawed:
        dead = []
        for name in names:
            if world.random.random() < 0.5:
                thawed.enter_context(frozen(name)(world))
            else:
                world.kill(name)
                dead.append(name)
            world.pause(0, 0.3)
        yield
    world.start(*dead)


API_PROCESSES, WORKERS, SCHEDULERS = 4, 4, 2


@contextmanager
def many(world: World) -> Iterator[None]:
    """Beside the one of each that the twin has; the API's processes are a setting."""
    ports = {WORKER: variable("worker_metrics_port"), SCHEDULER: variable("scheduler_metrics_port")}
    children: list[subprocess.Popen[bytes]] = []
    with ExitStack() as end:
        for name, more in ((WORKER, WORKERS - 1), (SCHEDULER, SCHEDULERS - 1)):
            for _ in range(more):
                own = world.stack.environment() | {ports[name]: str(free_port())}
                command = [sys.executable, "-m", f"{ASYNC}.{name}"]
                children.append(process.spawn(command, world.stack.log_path(name), own, None))
                end.callback(process.kill, children[-1])
        yield
        if ended := [child.args for child in children if child.poll() is not None]:
            raise TrialFailed(f"ended by themselves: {ended}")


@contextmanager
def one_of_many_killed(world: World) -> Iterator[None]:
    """The API's own supervisor starts a new one; a worker and a scheduler come back by the stack."""
    match world.random.choice((API, WORKER, SCHEDULER)):
        case "api":
            children = psutil.Process(world.pid(API)).children()
            with_sockets = [each for each in children if each.net_connections("inet")]
            world.random.choice(with_sockets or children).kill()
            yield
        case name:
            world.kill(name)
            yield
            world.start(name)
