"""Every kind of fault: a name, what it is, and the function that does it and undoes it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loadtests.bootstrap import CLOCK
from loadtests.load.subjects import ASYNC, NAIVE
from loadtests.studies.faults import disk, modes, network, processes, servers, steps
from loadtests.studies.faults.clock import Clock
from loadtests.studies.faults.processes import ended, frozen, killed, killed_at
from loadtests.studies.faults.servers import mysql_locked, mysql_set, redis_told
from loadtests.studies.faults.world import API, MYSQL, REDIS, SCHEDULER, WORKER, Hold, World

BRIEFLY, FOR_A_WHILE, LONGER_THAN_TIMEOUT = (0.1, 0.5), (0.2, 0.9), (2.2, 3.0)
AT_ONCE = (0.0, 0.3)
HOURS = (-3_600, 3_600, -86_400, 86_400, 0)


@dataclass(frozen=True)
class Fault:
    name: str
    about: str
    hold: Hold
    seconds: tuple[float, float] = AT_ONCE
    """For which it lasts, at least and at most, besides what it waits for by itself."""
    twins: tuple[str, ...] = (ASYNC,)
    around: Hold | None = None
    """What the twin is started within."""
    api_processes: int = 1
    is_of_two_nodes: bool = False
    """Whether events go to a second node of the API as well."""
    keeps: bool = True
    """Whether what was acknowledged has to be there afterwards; docs/guarantees.md says where it has not."""

    @property
    def is_plain(self) -> bool:
        """Whether a twin can have it however it was started."""
        return self.around is None and self.api_processes == 1


BOTH = (ASYNC, NAIVE)
CLOCK_IS_HERE = any(Path("/usr/lib").glob(CLOCK))
LIMITS_ARE_HERE = sys.platform == "linux"


def _clock(world: World) -> Clock:
    return Clock(world.stack.run_dir / "clock")


@contextmanager
def _clock_around(world: World) -> Iterator[None]:
    """Not around the API: it dates nothing, but tells its users the time."""
    with world.around(_clock(world).environment, WORKER, SCHEDULER):
        yield


@contextmanager
def _clock_set(world: World) -> Iterator[None]:
    _clock(world).set(world.random.choice(HOURS))
    yield


KILLS = (
    Fault("kill-api", "kill -9 of the API", killed(API), twins=BOTH),
    Fault("kill-worker", "kill -9 of the worker", killed(WORKER)),
    Fault("kill-scheduler", "kill -9 of the scheduler", killed(SCHEDULER)),
    Fault("kill-redis", "kill -9 of Redis", killed(REDIS)),
    Fault("kill-mysql", "kill -9 of MySQL", killed(MYSQL), twins=BOTH),
    Fault("kill-twin", "kill -9 of API, worker and scheduler", killed(API, WORKER, SCHEDULER)),
    Fault("kill-both-stores", "kill -9 of Redis and MySQL", killed(REDIS, MYSQL), seconds=(0.3, 1.5)),
    Fault("term-api", "SIGTERM to the API", ended(API), twins=BOTH),
    Fault("term-worker", "SIGTERM to the worker", ended(WORKER)),
    Fault("term-scheduler", "SIGTERM to the scheduler", ended(SCHEDULER)),
    Fault("term-redis", "SIGTERM to Redis", ended(REDIS)),
    Fault("term-mysql", "SIGTERM to MySQL", ended(MYSQL), twins=BOTH),
    Fault("freeze-api", "SIGSTOP of the API", frozen(API), FOR_A_WHILE, BOTH),
    Fault("freeze-worker", "SIGSTOP of the worker", frozen(WORKER), FOR_A_WHILE),
    Fault("freeze-scheduler", "SIGSTOP of the scheduler", frozen(SCHEDULER), FOR_A_WHILE),
    Fault("freeze-redis", "SIGSTOP of Redis, shorter than the time-out", frozen(REDIS), FOR_A_WHILE),
    Fault(
        "freeze-redis-long", "SIGSTOP of Redis, longer than the time-out", frozen(REDIS), LONGER_THAN_TIMEOUT
    ),
    Fault("freeze-mysql", "SIGSTOP of MySQL, shorter than its time-out", frozen(MYSQL), FOR_A_WHILE, BOTH),
    Fault(
        "freeze-mysql-long",
        "no Redis, and SIGSTOP of MySQL, longer than its time-out",
        processes.without_redis(frozen(MYSQL)),
        LONGER_THAN_TIMEOUT,
    ),
)
STEPS = (
    Fault("step-digest", "the worker killed at a step of a digest", killed_at(WORKER, steps.DIGEST)),
    Fault("step-flush", "the scheduler killed at a step of a flush", killed_at(SCHEDULER, steps.FLUSH)),
    Fault(
        "step-direct", "no Redis, the API killed at a step to MySQL", killed_at(API, steps.DIRECT, (REDIS,))
    ),
    Fault(
        "step-spool",
        "no store, the API killed at a step to the spool",
        killed_at(API, steps.SPOOL, (REDIS, MYSQL)),
    ),
    Fault("step-replay", "the API killed at a step of the replay", processes.killed_in_replay),
)
OF_REDIS = (
    Fault("pause-redis", "CLIENT PAUSE of 0.7 s", redis_told("CLIENT PAUSE 700 ALL")),
    Fault("drop-clients", "CLIENT KILL of everybody", redis_told("CLIENT KILL TYPE normal SKIPME yes")),
    Fault("forget-scripts", "SCRIPT FLUSH", redis_told("SCRIPT FLUSH")),
    Fault(
        "full-redis",
        "maxmemory reached, and raised again",
        redis_told("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 1gb"),
        FOR_A_WHILE,
    ),
    Fault(
        "replica",
        "Redis is READONLY for a while",
        redis_told("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
        FOR_A_WHILE,
    ),
    Fault(
        "no-replicas",
        "Redis refuses with NOREPLICAS for a while",
        redis_told("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"),
        FOR_A_WHILE,
    ),
    Fault("rewrite", "BGREWRITEAOF under load", redis_told("BGREWRITEAOF")),
    Fault("torn-file", "Redis killed with half a transaction in its file", servers.torn_file),
    Fault("poison", "a malformed entry in every structure of Redis", servers.malformed_entries),
    Fault("failing-job", "a job that always fails", servers.failing_job),
)
OF_MYSQL = (
    Fault(
        "kill-connections",
        "MySQL kills every connection of the twin",
        servers.connections_killed,
        twins=BOTH,
    ),
    Fault("read-only", "MySQL is read_only for a while", mysql_set("read_only", "1", "0"), FOR_A_WHILE, BOTH),
    Fault(
        "no-connections",
        "MySQL has no connection left",
        servers.no_connection_left,
        FOR_A_WHILE,
        BOTH,
    ),
    Fault(
        "lock-table",
        "both tables locked",
        mysql_locked("LOCK TABLES issues WRITE, flush_ledger WRITE", "UNLOCK TABLES"),
        FOR_A_WHILE,
    ),
    Fault(
        "lock-rows",
        "50 rows locked",
        mysql_locked("BEGIN; SELECT id FROM issues LIMIT 50 FOR UPDATE", "ROLLBACK"),
        FOR_A_WHILE,
        BOTH,
    ),
    Fault("deadlock", "rows locked against the order of the twin", servers.deadlock, BRIEFLY, BOTH),
)
_TROUBLES = (
    ("delay", "0.1 s more each way", network.DELAYED),
    ("narrow", "20 KB/s", network.NARROW),
    ("cut-request", "cut in the middle of a request", network.CUT_REQUEST),
    ("cut-reply", "cut in the middle of a reply", network.CUT_REPLY),
    ("black-hole", "nothing goes through", network.BLACK_HOLE),
)
BETWEEN = tuple(
    Fault(
        f"{server}-{name}",
        f"between {who}: {about}",
        network.troubled(trouble),
        FOR_A_WHILE,
        twins,
        network.behind(server),
    )
    for server, who, twins in (
        (REDIS, "the twin and Redis", (ASYNC,)),
        (MYSQL, "the twin and MySQL", BOTH),
    )
    for name, about, trouble in _TROUBLES
)
OF_DISKS = (
    Fault("disk-redis", "Redis's disk full: what it writes fails", disk.full(REDIS), FOR_A_WHILE),
    Fault("disk-mysql", "MySQL's disk full: what it writes fails", disk.full(MYSQL), FOR_A_WHILE, BOTH),
    Fault("disk-spool", "no store, and the spool's disk full", disk.full_for_spool, BRIEFLY),
    Fault("sync-spool", "no store, and the spool can't be synced", disk.spool_not_synced, BRIEFLY),
    Fault("descriptors", "the API has no descriptor left", disk.no_descriptor_left, FOR_A_WHILE),
)
OF_CLOCKS = (
    Fault(
        "clocks",
        "the clocks of worker and scheduler set by hours",
        _clock_set,
        around=_clock_around,
    ),
)
OF_MANY = (
    Fault(
        "many",
        "4 API processes, 4 workers, 2 schedulers: one killed",
        processes.one_of_many_killed,
        around=processes.many,
        api_processes=processes.API_PROCESSES,
    ),
    Fault(
        "combined",
        "2 to 4 parts killed or frozen one after the other",
        processes.cut_off_one_after_the_other,
        FOR_A_WHILE,
    ),
)
OF_MODES = (
    Fault(
        "modes",
        "two nodes with a rate: Redis killed, the nodes cut off from each other, both healed",
        modes.every_mode,
        around=modes.two_nodes,
        is_of_two_nodes=True,
    ),
)
NOT_PROMISED = (
    Fault("flushall", "FLUSHALL", redis_told("FLUSHALL"), keeps=False),
    Fault("older-file", "Redis comes back from an older file", servers.older_file, keeps=False),
)

_ALL = (
    *KILLS,
    *STEPS,
    *OF_REDIS,
    *OF_MYSQL,
    *BETWEEN,
    *OF_DISKS,
    *OF_CLOCKS,
    *OF_MANY,
    *OF_MODES,
    *NOT_PROMISED,
)
FAULTS = {each.name: each for each in _ALL}
"""By name, in the order of the table."""


def why_not_here(fault: Fault) -> str:
    """Return what this machine lacks for it, or ""."""
    if fault in OF_CLOCKS and not CLOCK_IS_HERE:
        return "libfaketime is not installed"
    if fault in OF_DISKS and not LIMITS_ARE_HERE:
        return "the limits of another process can't be set here"
    return ""
