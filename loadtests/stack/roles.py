"""What each role of the stack is: its command line, its address, and when it is ready."""

import http.client
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from loadtests.load.subjects import ASYNC, FLOOR, SUBJECTS, TWINS, Subject
from loadtests.stack.servers import LOOPBACK, MySQL, flags, redis_command, redis_is_ready
from shared.settings import Settings, variable

UNMEASURED = Subject(
    "unmeasured",
    "the async twin without the metrics of its hot path.",
    "loadtests.studies.metrics_cost.unmeasured",
    "uvicorn",
    SUBJECTS[ASYNC].style,
)
"""Of one study alone."""
SECOND = replace(SUBJECTS[ASYNC], name="second", about="the async twin's API once more, as on another host.")
SERVED = {each.name: each for each in (*SUBJECTS.values(), FLOOR, UNMEASURED, SECOND) if each.app}
ROLES_OF = {name: (name, *subject.behind) for name, subject in SERVED.items()}
"""The processes of each subject, in the order in which they start."""
WITH_WORKERS = TWINS
"""The servers that `TWINS_WORKERS` is about."""
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
    return {
        "mysql": Role(LOOPBACK, s.mysql_port, variable("mysql_port"), mysql.command(), mysql.is_ready),
        "redis": Role(LOOPBACK, s.redis_port, variable("redis_port"), redis, redis_ready),
        "worker": _http(s.host, s.worker_metrics_port, variable("worker_metrics_port"), worker, METRICS),
        "scheduler": _http(
            s.host, s.scheduler_metrics_port, variable("scheduler_metrics_port"), scheduler, METRICS
        ),
        **{name: _server(subject, s) for name, subject in SERVED.items()},
    }


def _server(subject: Subject, s: Settings) -> Role:
    setting, port = port_of(subject, s)
    command = _gunicorn(subject, port, s) if subject.server == "gunicorn" else _uvicorn(subject, port, s)
    return _http(s.host, port, variable(setting), command, HEALTH)


def port_of(subject: Subject, s: Settings) -> tuple[str, int]:
    """Return the setting and the port: a variant of a twin never runs beside it, and takes its port."""
    if subject == FLOOR:
        return "floor_port", s.floor_port
    if subject == SECOND:
        return "second_port", s.second_port
    return ("naive_port", s.naive_port) if subject.server == "gunicorn" else ("async_port", s.async_port)


def metrics_address(subject: Subject, s: Settings) -> str:
    """Return the "host:port" that a scrape asks."""
    port = s.naive_metrics_port if subject.server == "gunicorn" else port_of(subject, s)[1]
    return f"{s.host}:{port}"


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


def _gunicorn(subject: Subject, port: int, s: Settings) -> list[str]:
    options = {
        "bind": f"{s.host}:{port}",
        "workers": str(_workers(subject, s)),
        "threads": "64",
        "worker-class": "naive_sync.connection.Worker",
        "worker-connections": "2000",
        "keep-alive": "75",
        "timeout": "120",
        "limit-request-line": "0",  # the worker bounds the whole head
        "limit-request-field_size": "16384",
        "limit-request-fields": "32768",
    }
    # Its control socket is one per user, so that two servers would quarrel over it.
    return [
        *PYTHON_MODULE,
        "gunicorn",
        "--no-control-socket",
        *flags(options),
        f"{subject.app}:create_app()",
    ]


def _uvicorn(subject: Subject, port: int, s: Settings) -> list[str]:
    options = {
        "host": s.host,
        "port": str(port),
        "workers": str(_workers(subject, s)),  # else WEB_CONCURRENCY of the caller's environment counts
        "loop": "uvloop",
        "http": HTTP,
        "backlog": "4096",
        "timeout-keep-alive": "75",
        "timeout-graceful-shutdown": "12",  # who takes nothing of what it is owed has 10 s
    }
    return [
        *PYTHON_MODULE,
        "uvicorn",
        "--factory",
        f"{subject.app}:create_app",
        "--no-access-log",
        "--no-proxy-headers",
        *flags(options),
    ]


def _workers(subject: Subject, s: Settings) -> int:
    return s.workers if subject.name in WITH_WORKERS else 1
