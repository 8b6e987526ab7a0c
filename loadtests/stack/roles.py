"""What each role of the stack is: its command line, its address, and when it is ready."""

import http.client
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from loadtests.stack.servers import LOOPBACK, MySQL, flags, redis_command, redis_is_ready
from shared.settings import Settings

ROLES_OF = {
    "naive_sync": ("naive_sync",),
    "async_dedup": ("async_dedup", "worker", "scheduler"),
    "floor": ("floor",),
    "upsert": ("upsert",),
    "group_upsert": ("group_upsert",),
    "redis_count": ("redis_count", "worker", "scheduler"),
}
"""The processes of each twin, of the floor and of the ladder's steps, in the order in which they start."""
WITH_WORKERS = ("naive_sync", "async_dedup")
"""The servers that `WORKERS` is about."""
HTTP = "async_dedup.protocol:HotPathProtocol"
HEALTH = "/api/v1/health"
METRICS = "/metrics"
PYTHON_MODULE = [sys.executable, "-m"]


@dataclass(frozen=True)
class Role:
    host: str
    port: int
    port_variable: str
    """The environment variable that moves `port`."""
    command: list[str]
    is_ready: Callable[[], bool]

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


def define_roles(run_dir: Path, s: Settings, mysql: MySQL) -> dict[str, Role]:
    """Every role by its name. Raises StackError where no Redis is installed."""
    redis = redis_command(run_dir / "redis", s)
    redis_ready = partial(redis_is_ready, s.redis_port)
    worker = [*PYTHON_MODULE, "async_dedup.worker"]
    scheduler = [*PYTHON_MODULE, "async_dedup.scheduler"]
    asgi = partial(_uvicorn, s.host)
    # A variant of a twin never runs beside it, and takes its port.
    naive = partial(_http, s.host, s.naive_port, "NAIVE_PORT", path=HEALTH)
    async_ = partial(_http, s.host, s.async_port, "ASYNC_PORT", path=HEALTH)
    return {
        "mysql": Role(LOOPBACK, s.mysql_port, "MYSQL_PORT", mysql.command(), mysql.is_ready),
        "redis": Role(LOOPBACK, s.redis_port, "REDIS_PORT", redis, redis_ready),
        "naive_sync": naive(_gunicorn("naive_sync.app", s)),
        "async_dedup": async_(asgi(s.async_port, "async_dedup.app", s.workers)),
        "worker": _http(s.host, s.worker_metrics_port, "WORKER_METRICS_PORT", worker, METRICS),
        "scheduler": _http(s.host, s.scheduler_metrics_port, "SCHEDULER_METRICS_PORT", scheduler, METRICS),
        "floor": _http(
            s.host, s.floor_port, "FLOOR_PORT", asgi(s.floor_port, "loadtests.stack.floor"), HEALTH
        ),
        "upsert": naive(_gunicorn("loadtests.studies.ladder.upsert", s)),
        "group_upsert": async_(asgi(s.async_port, "loadtests.studies.ladder.group_upsert")),
        "redis_count": async_(asgi(s.async_port, "loadtests.studies.ladder.redis_count")),
        "unmeasured": async_(asgi(s.async_port, "loadtests.studies.metrics_cost.unmeasured")),
    }


def _http(host: str, port: int, port_variable: str, command: list[str], path: str) -> Role:
    return Role(host, port, port_variable, command, partial(answers, host, port, path))


def answers(host: str, port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _gunicorn(module: str, s: Settings) -> list[str]:
    options = {
        "bind": f"{s.host}:{s.naive_port}",
        "workers": str(s.workers),
        "threads": "64",
        "worker-class": "gthread",
        "worker-connections": "2000",
        "keep-alive": "75",
        "timeout": "120",
        "limit-request-line": "8190",
    }
    # Its control socket is one per user, so that two servers would quarrel over it.
    return [*PYTHON_MODULE, "gunicorn", "--no-control-socket", *flags(options), f"{module}:create_app()"]


def _uvicorn(host: str, port: int, module: str, workers: int = 1) -> list[str]:
    options = {
        "host": host,
        "port": str(port),
        "workers": str(workers),  # else WEB_CONCURRENCY of the caller's environment counts
        "loop": "uvloop",
        "http": HTTP,
        "backlog": "4096",
        "timeout-keep-alive": "75",
    }
    return [
        *PYTHON_MODULE,
        "uvicorn",
        "--factory",
        f"{module}:create_app",
        "--no-access-log",
        "--no-proxy-headers",
        *flags(options),
    ]
