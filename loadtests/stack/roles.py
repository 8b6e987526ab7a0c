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
}
"""The processes of each twin, in the order in which they start."""
WITH_WORKERS = ("naive_sync", "async_dedup")
"""The servers that `WORKERS` is about."""
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
    return {
        "mysql": Role(LOOPBACK, s.mysql_port, "MYSQL_PORT", mysql.command(), mysql.is_ready),
        "redis": Role(LOOPBACK, s.redis_port, "REDIS_PORT", redis, redis_ready),
        "naive_sync": _http(s.host, s.naive_port, "NAIVE_PORT", _gunicorn(s), HEALTH),
        "async_dedup": _http(
            s.host,
            s.async_port,
            "ASYNC_PORT",
            _uvicorn("async_dedup.app", s.host, s.async_port, s.workers),
            HEALTH,
        ),
        "worker": _http(s.host, s.worker_metrics_port, "WORKER_METRICS_PORT", worker, METRICS),
        "scheduler": _http(s.host, s.scheduler_metrics_port, "SCHEDULER_METRICS_PORT", scheduler, METRICS),
        "floor": _http(
            s.host, s.floor_port, "FLOOR_PORT", _uvicorn("loadtests.floor", s.host, s.floor_port), HEALTH
        ),
    }


def _http(host: str, port: int, port_variable: str, command: list[str], path: str) -> Role:
    return Role(host, port, port_variable, command, partial(_answers, host, port, path))


def _answers(host: str, port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _gunicorn(s: Settings) -> list[str]:
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
    return [*PYTHON_MODULE, "gunicorn", "--no-control-socket", *flags(options), "naive_sync.app:create_app()"]


def _uvicorn(module: str, host: str, port: int, workers: int = 1) -> list[str]:
    options = {
        "host": host,
        "port": str(port),
        "workers": str(workers),  # else WEB_CONCURRENCY of the caller's environment counts
        "loop": "uvloop",
        "http": "httptools",
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
