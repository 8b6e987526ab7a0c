"""docker-compose.yml and the Dockerfiles, as far as they can be judged without a container engine."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from loadtests import bench
from loadtests.bootstrap import ROOT
from loadtests.stack.process import OPEN_FILES
from loadtests.stack.roles import define_roles
from loadtests.stack.servers import MySQL, redis_command
from shared import settings
from shared.settings import SECRETS, Settings
from tests import client

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
FIELDS = {settings.variable(name): field for name, field in Settings.model_fields.items()}
DEFAULTS = Settings.model_construct()
"""Whatever variables the tests run with."""
APPS = ("naive_sync", "async_dedup", "worker", "scheduler", "floor")
BUILT = {name: service for name, service in SERVICES.items() if "build" in service}
ONE_SHOT = "credentials"
BENCH = "bench"
"""Run by hand, and over at its end: nobody asks whether it is healthy."""
ROOT_NEEDED = "cadvisor"
"""It reads every container's cgroup and asks the engine."""
OTHER_PORTS = {"TWINS_GRAFANA_PORT"}
"""Variables of ports that only containers have."""
VERSION = re.compile(r":v?\d+\.\d+\.\d+(-\w+)*$")

each = pytest.mark.parametrize("name", SERVICES)


def dockerfile(name: str) -> str:
    return (ROOT / str(SERVICES[name]["build"]["dockerfile"])).read_text()


def instruction(name: str, word: str) -> list[str]:
    """The arguments of every such instruction, lines joined."""
    text = dockerfile(name).replace("\\\n", " ")
    return [line.removeprefix(word).strip() for line in text.splitlines() if line.startswith(f"{word} ")]


@each
def test_images_are_pinned_and_our_own_are_never_pulled(name: str) -> None:
    service = SERVICES[name]
    if service["image"].startswith("hot-path-twins/"):
        assert service["pull_policy"] == ("build" if name in BUILT else "never")
        assert service["image"] in {other["image"] for other in BUILT.values()}
    else:
        assert VERSION.search(service["image"])


@pytest.mark.parametrize("name", BUILT)
def test_base_images_are_pinned(name: str) -> None:
    bases = [line.split()[0] for line in instruction(name, "FROM")]
    assert bases
    assert all(VERSION.search(base) for base in bases)


@each
def test_ports_are_published_on_loopback_and_moved_as_natively(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        published = re.fullmatch(r"127\.0\.0\.1:\$\{(\w+):-(\d+)\}:\d+", port)
        assert published, port
        variable, default = published.groups()
        if variable not in OTHER_PORTS:
            assert FIELDS[variable].default == int(default)


@each
def test_no_secret_is_in_the_file(name: str) -> None:
    environment = SERVICES[name].get("environment", {})
    for variable in environment:
        if re.search("PASSWORD|SECRET|TOKEN", variable) and "DISABLE" not in variable:
            assert variable.endswith("_FILE") or variable == "MYSQL_RANDOM_ROOT_PASSWORD"


@each
def test_every_service_has_limits(name: str) -> None:
    service = SERVICES[name]
    assert service["cpus"]
    assert service["mem_limit"]
    if name in APPS:
        assert service["cpus"] == "${TWINS_APP_CPUS:-1.5}"
        assert service["mem_limit"] == service["memswap_limit"] == "${TWINS_APP_MEMORY:-1g}"
        assert service["ulimits"]["nofile"] == OPEN_FILES


@each
def test_every_service_is_contained(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")
    assert service["restart"] == "no"
    own_image = service["image"].startswith("hot-path-twins/")
    user = str(service["user"]) if not own_image else "10001"
    assert (user in ("root", "0")) == (name == ROOT_NEEDED)


@pytest.mark.parametrize("name", BUILT)
def test_images_run_as_a_number_that_is_not_root(name: str) -> None:
    assert instruction(name, "USER") == ["10001:10001"]


@each
def test_every_service_is_checked(name: str) -> None:
    service = SERVICES[name]
    if name in (ONE_SHOT, BENCH):
        assert "healthcheck" not in service
    else:
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    for needed, how in service.get("depends_on", {}).items():
        expected = "service_completed_successfully" if needed == ONE_SHOT else "service_healthy"
        assert how["condition"] == expected


@pytest.mark.parametrize("name", [*APPS, BENCH])
def test_environment_is_what_the_settings_read(name: str) -> None:
    for variable, value in SERVICES[name]["environment"].items():
        field = FIELDS[variable]
        if default := re.fullmatch(r"\$\{(\w+):-(.+)\}", str(value)):
            assert default[1] == variable
            assert json.loads(default[2]) == field.default


def test_a_check_asks_the_real_endpoint() -> None:
    asked = {
        "naive_sync": f"{DEFAULTS.naive_port}/api/v1/ready",
        "async_dedup": f"{DEFAULTS.async_port}/api/v1/ready",
        "worker": f"{DEFAULTS.worker_metrics_port}/metrics",
        "scheduler": f"{DEFAULTS.scheduler_metrics_port}/metrics",
        "floor": f"{DEFAULTS.floor_port}/api/v1/health",
        "load-exporter": f"{DEFAULTS.load_exporter_port}/metrics",
    }
    for name, address in asked.items():
        assert f"'http://127.0.0.1:{address}'" in SERVICES[name]["healthcheck"]["test"][-1]


@pytest.fixture
def answering() -> Iterator[ThreadingHTTPServer]:
    """A server that answers every GET with its `status`."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(server.status)  # type: ignore[attr-defined]
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("name", [*APPS, "locust", "load-exporter"])
def test_a_check_is_true(name: str, answering: ThreadingHTTPServer) -> None:
    port = str(answering.server_port)
    code = re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{port}", SERVICES[name]["healthcheck"]["test"][-1])

    def check() -> int:
        environment = {**os.environ, "LOCUST_WEB_PORT": port}
        return subprocess.run(
            [sys.executable, "-c", code], env=environment, stderr=subprocess.DEVNULL, check=False
        ).returncode

    answering.status = 200  # type: ignore[attr-defined]
    assert check() == 0
    answering.status = 503  # type: ignore[attr-defined]
    assert check() != 0


def test_mysql_is_as_durable_as_the_native_one(tmp_path: Path) -> None:
    of_the_place = (
        "no-defaults",
        "datadir",
        "tmpdir",
        "socket",
        "pid-file",
        "port",
        "bind-address",
        "init-file",
        "user",
    )
    native = {word.lstrip("-").removeprefix("loose-") for word in MySQL(tmp_path, DEFAULTS).command()[1:]}
    native = {word for word in native if word.partition("=")[0] not in of_the_place}
    composed = {word.lstrip("-").removeprefix("loose-") for word in SERVICES["mysql"]["command"]}
    assert "innodb-flush-log-at-trx-commit=1" in composed
    assert composed - {"mysqlx=OFF"} == native - {"mysqlx=OFF"}


def test_redis_is_as_durable_as_the_native_one(tmp_path: Path) -> None:
    def options(words: list[str]) -> dict[str, str]:
        of_the_place = ("--port", "--bind", "--dir", "--protected-mode")
        return {
            name: value
            for name, value in zip(words[::2], words[1::2], strict=True)
            if name not in of_the_place
        }

    composed = options(shlex.split(SERVICES["redis"]["command"])[1:])
    assert composed["--appendfsync"] == "always"
    assert composed == options(redis_command(tmp_path, DEFAULTS)[1:])


@pytest.mark.parametrize("name", ["naive_sync", "async_dedup"])
def test_a_twin_is_started_as_natively(name: str, tmp_path: Path) -> None:
    settings = DEFAULTS.model_copy(update={"host": "0.0.0.0"})
    native = define_roles(tmp_path, settings, MySQL(tmp_path, settings))[name].command[1:]
    [words] = instruction(name, "CMD")
    program, *composed = json.loads(words)
    assert program == "python"
    assert composed == native


@pytest.mark.parametrize("name", ["worker", "scheduler"])
def test_a_background_process_is_started_as_natively(name: str, tmp_path: Path) -> None:
    native = define_roles(tmp_path, DEFAULTS, MySQL(tmp_path, DEFAULTS))[name].command[1:]
    assert SERVICES[name]["command"] == ["python", *native]


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("naive_sync", "naive_sync.app"),
        ("async_dedup", "async_dedup.app, async_dedup.worker, async_dedup.scheduler"),
        ("locust", "loadtests.locustfile, loadtests.live.exporter, loadtests.stack.floor, loadtests.bench"),
    ],
)
def test_an_image_holds_all_that_it_imports(name: str, module: str, tmp_path: Path) -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for folder in [words.split()[0] for words in instruction(name, "COPY") if not words.startswith("--from")]:
        assert f"!{folder}" in ignored or f"!{folder}/" in ignored
        if (ROOT / folder).is_dir():
            shutil.copytree(
                ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("results", "__pycache__")
            )
    subprocess.run([sys.executable, "-c", f"import {module}"], cwd=tmp_path, check=True)


def test_the_floor_is_started_as_natively(tmp_path: Path) -> None:
    settings = DEFAULTS.model_copy(update={"host": "0.0.0.0"})
    native = define_roles(tmp_path, settings, MySQL(tmp_path, settings))["floor"].command[1:]
    assert [*SERVICES["floor"]["entrypoint"], *shlex.split(SERVICES["floor"]["command"])] == [
        "python",
        *native,
    ]


def test_the_bench_takes_its_options_behind_those_of_the_service() -> None:
    program, *words = SERVICES[BENCH]["entrypoint"]
    assert [program, *words[:2]] == ["python", "-m", bench.__name__]
    options = bench.parse([*words[2:], "--profile", "smoke", "--pairs", "2"])
    assert options.running
    assert f"bench:{options.run_dir}" in SERVICES[BENCH]["volumes"]
    assert f"{options.run_dir}" in dockerfile("locust")


class Engine:
    """`make` with a stand-in for `docker`, which notes each command and does what its variables say."""

    SCRIPT = """#!/bin/sh
        echo "$*" >> calls
        case "$*" in
            ps*) echo "$RUNNING" ;;
            *" run "*) sleep "$SECONDS_TO_RUN"; exit "$STATUS" ;;
        esac
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        program = folder / "docker"
        program.write_text(self.SCRIPT)
        program.chmod(0o755)

    def make(
        self, target: str, running: str = "", seconds: float = 0, status: int = 0
    ) -> subprocess.Popen[str]:
        variables = {"RUNNING": running, "SECONDS_TO_RUN": str(seconds), "STATUS": str(status)}
        return subprocess.Popen(
            ["make", "-f", str(ROOT / "Makefile"), target],
            cwd=self._folder,
            env={**os.environ, **variables, "PATH": f"{self._folder}:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def calls(self) -> list[str]:
        calls = self._folder / "calls"
        return calls.read_text().splitlines() if calls.exists() else []

    def has(self, *words: str) -> bool:
        return any(set(words) <= set(call.split()) for call in self.calls())


@pytest.mark.parametrize("status", [0, 3])
def test_the_results_are_copied_however_the_bench_ends(status: int, tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    make = engine.make("compose-bench", status=status)
    output, _ = make.communicate(timeout=30)
    assert (make.returncode == 0) == (status == 0)
    assert engine.has("cp")
    assert "Copied" in output
    assert engine.calls()[-1] == "rm hot-path-twins-bench"


def test_the_results_are_copied_after_ctrl_c(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    make = engine.make("compose-bench", seconds=30)
    client.eventually(lambda: engine.has("run"), "the bench runs")
    os.killpg(make.pid, signal.SIGINT)
    make.communicate(timeout=60)
    assert make.returncode != 0
    assert engine.has("cp")


def test_a_second_bench_is_refused_and_leaves_the_first_alone(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    make = engine.make("compose-bench", running="hot-path-twins-bench")
    assert "runs already" in make.communicate(timeout=30)[0]
    assert make.returncode != 0
    assert [call.split()[0] for call in engine.calls()] == ["ps"]


def test_a_bench_that_runs_goes_with_the_stack(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    assert engine.make("compose-down").wait(timeout=30) == 0
    removed, down = engine.calls()
    assert removed == "rm --force hot-path-twins-bench"
    assert "down --volumes" in down


def test_mounted_files_are_there() -> None:
    sources = [volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])]
    for source in sources:
        assert source in COMPOSE["volumes"] or not source.startswith("./") or (ROOT / source).exists(), source


def test_prometheus_asks_ports_that_services_have() -> None:
    targets = json.loads((ROOT / "grafana" / "targets.compose.json").read_text())
    asked = {target["labels"]["job"]: target["targets"][0] for target in targets}
    assert {address.split(":")[0] for address in asked.values()} <= set(SERVICES)
    assert asked["naive_sync"] == f"naive_sync:{DEFAULTS.naive_metrics_port}"
    assert asked["async_dedup"] == f"async_dedup:{DEFAULTS.async_port}"
    assert asked["worker"] == f"worker:{DEFAULTS.worker_metrics_port}"
    assert asked["scheduler"] == f"scheduler:{DEFAULTS.scheduler_metrics_port}"
    assert asked["load"] == f"load-exporter:{DEFAULTS.load_exporter_port}"


def test_grafana_finds_dashboards_and_prometheus() -> None:
    provisioning = ROOT / "grafana" / "provisioning"
    [provider] = yaml.safe_load((provisioning / "dashboards" / "twins.yml").read_text())["providers"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in SERVICES["grafana"]["volumes"]
    [source] = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    scrape = yaml.safe_load((ROOT / "grafana" / "prometheus.yml").read_text())["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scrape


def test_the_password_is_where_everybody_looks_for_it() -> None:
    path = SERVICES["mysql"]["environment"]["MYSQL_PASSWORD_FILE"]
    assert path == f"{SECRETS}/twins_mysql_password"
    assert "> twins_mysql_password" in SERVICES[ONE_SHOT]["command"][-1]
    for name in [*APPS, "mysql", "mysqld-exporter"]:
        assert f"credentials:{SECRETS}:ro" in SERVICES[name]["volumes"]
