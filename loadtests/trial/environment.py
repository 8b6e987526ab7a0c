"""What a result was measured on: machine, versions, and the settings that decide how durable a commit is."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import psutil
import redis

from loadtests.analysis.results import Environment
from loadtests.bootstrap import ROOT
from loadtests.stack import Stack
from loadtests.trial.reconcile import connect
from shared.settings import Settings

PACKAGES = (
    *(
        "fastapi",
        "flask",
        "gevent",
        "gunicorn",
        "hiredis",
        "httptools",
        "locust",
        "pydantic",
        "pymysql",
        "redis",
    ),
    *("rq", "sqlalchemy", "uvicorn", "uvloop"),
)
MYSQL_VARIABLES = (
    *(
        "innodb_flush_log_at_trx_commit",
        "innodb_flush_method",
        "innodb_buffer_pool_size",
        "log_bin",
        "sync_binlog",
    ),
    "max_connections",
)
REDIS_SETTINGS = ("appendonly", "appendfsync", "maxmemory", "maxmemory-policy", "save")


def describe(stack: Stack) -> Environment:
    """Return the `environment` of results.json; MySQL and Redis must run."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "generator_cores": sorted(stack.generator_cpus() or []),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": _system(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "mysql": _mysql(stack.settings),
        "redis": _redis(stack.settings),
        "flush_interval_seconds": stack.settings.flush_interval,
        "pool_size": stack.settings.pool_size,
    }


def commit() -> str:
    """Return the commit that ran, with "+changes" where files differ from it; "unknown" without git."""
    try:
        name = _git("rev-parse", "--short=12", "HEAD").stdout.strip()
        # What a run itself writes is no change of what ran.
        changed = _git(
            *("status", "--porcelain", "--", "."),
            *(":!README.md", ":!RESULTS.md", ":!loadtests/results", ":!docs"),
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{name}+changes" if changed else name


def _git(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True)


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.platform(terse=True)


def _mysql(settings: Settings) -> dict[str, str]:
    with connect(settings) as mysql, mysql.cursor() as cursor:
        cursor.execute("SHOW VARIABLES")
        variables = dict(cursor.fetchall())
    # Not every server has every variable.
    return {name: variables[name] for name in ("version", *MYSQL_VARIABLES) if name in variables}


def _redis(settings: Settings) -> dict[str, str]:
    with redis.Redis(settings.redis_host, settings.redis_port, decode_responses=True) as client:
        info = client.info("server")
        kept = {name: str(client.config_get(name)[name]) for name in REDIS_SETTINGS}
    return {"version": info.get("valkey_version", info["redis_version"]), **kept}
