"""What watches a run: the live page, and Prometheus with its exporters where they are installed.

Where something is measured they are beside the generator and never beside a twin, and, as soon as they are
ready, with the lowest priority: it does not wait for them.
"""

import json
from functools import partial
from pathlib import Path

from loadtests.bootstrap import ROOT, find_program
from loadtests.load.progress import PROGRESS
from loadtests.load.subjects import SUBJECTS, TWINS
from loadtests.stack.private import private_folder, write_private
from loadtests.stack.roles import METRICS, PYTHON_MODULE, Role, answers, metrics_address
from loadtests.stack.servers import LOOPBACK
from shared.settings import Settings, variable

CONFIG = ROOT / "grafana"
RUN = "TWINS_BENCH_RUN"
"""The environment variable in which the exporter is told the name of the run."""
LIVE = "live"
PROMETHEUS = "prometheus"
MYSQL = ("global_variables", "slave_status", "info_schema.innodb_cmp", "info_schema.innodb_cmpmem")
"""Collectors of what nobody looks at, or of what the twins' account may not see."""
NODE = ("cpu", "diskstats", "filesystem", "loadavg", "meminfo", "pressure", "stat")


def define_observers(run_dir: Path, s: Settings) -> dict[str, Role]:
    """Every one that is installed, in the order in which they start: the live page always."""
    programs = (
        ("mysql_exporter", s.mysql_exporter_port, "prometheus-mysqld-exporter", _mysql_options(run_dir)),
        ("redis_exporter", s.redis_exporter_port, "prometheus-redis-exporter", _redis_options(s)),
        ("node_exporter", s.node_exporter_port, "prometheus-node-exporter", _node_options()),
        ("process_exporter", s.process_exporter_port, "prometheus-process-exporter", _process_options()),
        (PROMETHEUS, s.prometheus_port, PROMETHEUS, _prometheus_options(run_dir)),
    )
    roles = {LIVE: _live(run_dir, s)}
    if find_program(PROMETHEUS) is None:
        return roles
    roles["load_exporter"] = _load_exporter(run_dir, s)
    for name, port, program, options in programs:
        if found := find_program(program):
            command = [found, f"--web.listen-address={LOOPBACK}:{port}", *options]
            roles[name] = _role(name, port, command, "/-/ready" if name == PROMETHEUS else METRICS)
    return roles


def write_config(run_dir: Path, s: Settings, observers: dict[str, Role]) -> None:
    """Everything that the commands of `define_observers` read, and nothing of an earlier run."""
    forget_run(run_dir)
    home = private_folder(run_dir / "prometheus")
    for name in ("prometheus.yml", "rules.yml"):
        write_private(home / name, (CONFIG / name).read_text())
    found = [{"targets": [target], "labels": {"job": job}} for job, target in targets(s, observers).items()]
    write_private(home / "targets.json", json.dumps(found, indent=1))
    account = {"host": LOOPBACK, "port": s.mysql_port, "user": s.mysql_user, "password": s.mysql_password}
    lines = [f"{name}={value}" for name, value in account.items()]
    write_private(home / "mysql.cnf", "\n".join(["[client]", *lines, ""]))


def forget_run(run_dir: Path) -> None:
    """What an earlier one has told is not shown again."""
    (run_dir / PROGRESS).unlink(missing_ok=True)


def targets(s: Settings, observers: dict[str, Role]) -> dict[str, str]:
    """Return what Prometheus asks, by job."""
    twins = {name: metrics_address(SUBJECTS[name], s) for name in TWINS}
    ports = {"worker": s.worker_metrics_port, "scheduler": s.scheduler_metrics_port}
    exporters = {
        name.removesuffix("_exporter"): role.address for name, role in observers.items() if name != LIVE
    }
    return twins | {job: f"{s.host}:{port}" for job, port in ports.items()} | exporters


def _role(name: str, port: int, command: list[str], path: str = METRICS) -> Role:
    return Role(LOOPBACK, port, variable(f"{name}_port"), command, partial(answers, LOOPBACK, port, path))


def _live(run_dir: Path, s: Settings) -> Role:
    return _role(LIVE, s.live_port, [*PYTHON_MODULE, "loadtests.live", str(run_dir)], path="/")


def _load_exporter(run_dir: Path, s: Settings) -> Role:
    command = [*PYTHON_MODULE, "loadtests.live.exporter", str(run_dir / PROGRESS)]
    return _role("load_exporter", s.load_exporter_port, command)


def _mysql_options(run_dir: Path) -> list[str]:
    account = f"--config.my-cnf={run_dir / 'prometheus' / 'mysql.cnf'}"
    return [account, *(f"--no-collect.{name}" for name in MYSQL)]


def _redis_options(s: Settings) -> list[str]:
    return [f"--redis.addr=redis://{LOOPBACK}:{s.redis_port}"]


def _node_options() -> list[str]:
    return ["--collector.disable-defaults", *(f"--collector.{name}" for name in NODE)]


def _process_options() -> list[str]:
    return [f"--config.path={CONFIG / 'process-exporter.yml'}", "--threads=false", "--gather-smaps=false"]


def _prometheus_options(run_dir: Path) -> list[str]:
    home = run_dir / "prometheus"
    return [
        f"--config.file={home / 'prometheus.yml'}",
        f"--storage.tsdb.path={home / 'data'}",
        "--storage.tsdb.retention.time=30d",
    ]
