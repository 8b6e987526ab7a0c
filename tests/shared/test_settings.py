"""What a setting may be, and how a program says that it can't be that."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.bootstrap import ROOT
from shared import settings
from shared.settings import Own, Settings, environment, load, variable
from tests.conftest import free_settings

FOREIGN = {"HOST": "x86_64-conda-linux-gnu", "REDIS_PORT": "tcp://10.0.0.1:6379", "WORKERS": "9"}
"""What shells, conda, CI and container engines set by themselves."""
BAD = [
    ("spool_folder", __file__),
    ("spool_bytes", "-1"),
    *(("flush_interval", value) for value in ("0", "-1", "nan", "inf", "-inf", "abc", "1e9", "5s")),
    *(("naive_port", value) for value in ("abc", "0", "-1", "99999", "65536", "9001.5")),
    *(("redis_port", value) for value in ("tcp://10.0.0.1:6379", "6379/tcp")),
    *(("workers", value) for value in ("0", "-1", "two", "1000000")),
    *(("pool_size", value) for value in ("0", "-1", "many", "1000000")),
    *(("pool_timeout", value) for value in ("0", "-1", "nan", "inf", "abc")),
    *(("redis_timeout", value) for value in ("0", "-1", "nan", "inf", "abc")),
    *((name, "perhaps") for name in ("show_docs", "show_metrics")),
    *(("host", value) for value in ("http://127.0.0.1", "two words", " ")),
    *(("mysql_database", value) for value in ("a\nb", "d" * 65)),
    *(("rate_limit", value) for value in ("-1", "nan", "inf", "many", "1e9", "1e-9", "0.0009")),
    *(("rate_burst", value) for value in ("-1", "1.5", "many", "1e9")),
    *(("new_issues", value) for value in ("-1", "1.5", "many", "100001")),
    *(("new_issues_window", value) for value in ("0", "-1", "nan", "inf", "1e9", "1h")),
    *(("services", value) for value in ("shop", "[]", "5", "null", '{"shop": 5}', '{"": {}}')),
    *(("services", f'{{"shop": {own}}}') for own in ('{"rate": 1}', '{"rate_limit": -1}', "[]")),
    *(("services", f'{{"shop": {{"{name}": true}}}}') for name in Own.model_fields),
    ("services", '{"shop": {"rate_limit": 1e-9}}'),
    ("services", '{"shop": {"rate_limit": 1}, "shop": {"rate_limit": 2}}'),
    ("services", '{"shop": {"rate_limit": 1, "rate_limit": 2}}'),
    ("services", '{"(other services)": {"rate_limit": 1}}'),
    ("services", json.dumps({"s" * 65: {}})),
    ("services", json.dumps({str(number): {} for number in range(1_001)})),
    *(("peers", value) for value in ("host", "host:", ":1", "host:123456", "http://host:1", "a:1,b")),
    *(("peers", value) for value in ("host:0", "host:99999", "a..b:1", ".a:1", "h" * 64 + ":1")),
    ("peers", ",".join(f"host:{port}" for port in range(1, 18))),
    *(("peer_port", value) for value in ("0", "65536", "any")),
]
PROGRAMS = {
    "naive_sync": "-c|from naive_sync.app import create_app; create_app()",
    "async_dedup": "-c|from async_dedup.app import create_app; create_app()",
    "uvicorn": "-m|uvicorn|--factory|async_dedup.app:create_app|--port={port}",
    "gunicorn": "-m|gunicorn|--no-control-socket|--bind=127.0.0.1:{port}|naive_sync.app:create_app()",
    "worker": "-m|async_dedup.worker",
    "scheduler": "-m|async_dedup.scheduler",
    "upsert": "-c|from loadtests.studies.ladder.upsert import create_app; create_app()",
    "group_upsert": "-c|from loadtests.studies.ladder.group_upsert import create_app; create_app()",
    "bench": "-m|loadtests.bench|--profile=smoke|--run-dir={folder}",
    "stack up": "-m|loadtests.stack|up",
    "stack run": "-m|loadtests.stack|run",
    "live": "-m|loadtests.live|{folder}",
    "exporter": "-m|loadtests.live.exporter|{folder}/progress",
    "limits": "-m|loadtests.studies.limits|--run-dir={folder}|--raw={folder}/raw.json",
    "growth": "-m|loadtests.studies.growth|--run-dir={folder}|--raw={folder}/raw.json",
}
INTERRUPTED = {
    "bench": "-m|loadtests.bench|--profile=smoke|--run-dir={folder}",
    "up": "-m|loadtests.stack|up",
    "down": "-m|loadtests.stack|down",
    "report": "-m|loadtests.report",
    "ladder": "-m|loadtests.studies.ladder",
    "limits": "-m|loadtests.studies.limits|--run-dir={folder}|--raw={folder}/raw.json",
    "growth": "-m|loadtests.studies.growth|--run-dir={folder}|--raw={folder}/raw.json",
    "compare": "-m|loadtests.compare|a|b",
    "schema": "-m|loadtests.analysis.schema",
    "dashboards": "-m|grafana.build",
}
"""What `make` runs."""


def words(program: str, folder: Path) -> list[str]:
    port = free_settings().naive_port
    return [sys.executable, *(word.format(folder=folder, port=port) for word in program.split("|"))]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_what_can_not_be_is_refused_by_name(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable(name), value)
    with pytest.raises(SystemExit) as ended:
        load()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith(f"{variable(name)}=")
    assert len(said.splitlines()) == 1, said


def test_every_setting_has_bounds() -> None:
    for name, field in Settings.model_fields.items():
        assert field.metadata or field.annotation is bool, name


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_says_so_in_one_line_and_ends(program: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        words(PROGRAMS[program], tmp_path),
        env={**os.environ, "TWINS_FLUSH_INTERVAL": "nan", "TWINS_RUN_DIR": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    said = [line for line in ended.stderr.splitlines() if not line.startswith("[")]  # gunicorn's own log
    assert said == ["TWINS_FLUSH_INTERVAL=nan: Input should be a finite number"], ended.stderr
    # gunicorn would start a worker that ends with 1 again, without end.
    assert ended.returncode == (3 if program in ("gunicorn", "naive_sync", "upsert") else 1)
    assert ended.stdout == ""


def test_a_password_is_not_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TWINS_MYSQL_PASSWORD", "secret\nof two lines")
    with pytest.raises(SystemExit):
        load()
    said = capsys.readouterr().err
    assert said.startswith("TWINS_MYSQL_PASSWORD: ")
    assert "secret" not in said


def test_peers_need_a_secret_and_it_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TWINS_PEERS", "127.0.0.1:9009")
    monkeypatch.setenv("TWINS_PEER_SECRET", "too short")
    with pytest.raises(SystemExit):
        load()
    said = capsys.readouterr().err
    assert said.startswith("TWINS_PEER_SECRET: ")
    assert "too short" not in said
    assert len(said.splitlines()) == 1, said


def test_peers_are_of_one_process_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TWINS_PEERS", "127.0.0.1:9009")
    monkeypatch.setenv("TWINS_PEER_SECRET", "sixteen or more characters")
    assert load().peers == ["127.0.0.1:9009"]
    monkeypatch.setenv("TWINS_WORKERS", "2")
    with pytest.raises(SystemExit):
        load()
    said = capsys.readouterr().err
    assert said.startswith("TWINS_PEERS=")
    assert "TWINS_WORKERS" in said
    assert len(said.splitlines()) == 1, said


def test_variables_of_others_mean_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = load()
    for name, value in FOREIGN.items():
        monkeypatch.setenv(name, value)
    assert load() == before


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINS_NAIVE_PORT", "")
    assert load().naive_port == 9001


def test_a_process_is_told_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    other = free_settings().model_copy(update={"host": "127.0.0.2", "mysql_password": "a b'\"%"})
    for name, value in environment(other).items():
        monkeypatch.setenv(name, value)
    assert load() == other


def test_a_process_is_told_of_quotas_and_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    services = {
        "shop": Own(rate_limit=0.5, rate_burst=0, new_issues=7),
        " \U0001f525 \"'%": Own(new_issues=0),
        "unlimited": Own(),
    }
    other = free_settings().model_copy(
        update={
            **{"rate_limit": 2.5, "rate_burst": 10, "new_issues": 3, "new_issues_window": 60.0},
            **{"services": services, "peers": ["127.0.0.1:1", "host.name:65535"]},
            "peer_secret": "sixteen or more, \"'%",
        }
    )
    for name, value in environment(other).items():
        monkeypatch.setenv(name, value)
    assert load() == other


def test_what_is_given_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINS_WORKERS", "3")
    assert load(workers=2).workers == 2


def test_a_secret_is_in_a_file_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "twins_mysql_password").write_text("drawn\n")
    (tmp_path / "mysql_password").write_text("another's\n")
    monkeypatch.setitem(settings.Settings.model_config, "secrets_dir", tmp_path)
    assert load().mysql_password == "drawn"


@pytest.mark.parametrize("program", INTERRUPTED)
def test_ctrl_c_while_a_program_starts_ends_it_quietly(program: str, tmp_path: Path) -> None:
    python, *rest = words(INTERRUPTED[program], tmp_path)
    with subprocess.Popen(
        [python, "-X", "importtime", *rest],
        env={**os.environ, **environment(free_settings()), "TWINS_RUN_DIR": str(tmp_path)},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        try:
            assert started.stderr is not None
            next(line for line in started.stderr if line.rpartition("|")[2].strip() == "loadtests")
            started.send_signal(signal.SIGINT)
            said = [line for line in started.stderr if not line.startswith("import time:")]
            assert (said, started.wait(20)) == ([], 130)
        finally:
            started.kill()
