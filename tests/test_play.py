"""`make load`: Locust with its web UI on a twin that runs; and what is said where none does."""

import json
import urllib.request
from pathlib import Path

import pytest

from loadtests.play import main, words
from loadtests.stack import Stack
from tests.client import eventually
from tests.parts import running
from tests.test_locustfile import free_port


def test_users_can_be_changed_while_it_runs(stack: Stack, async_url: str, tmp_path: Path) -> None:
    web = free_port()
    command = ("-m", "locust", *words(3, stack.settings.async_port, web))
    with running(stack.settings, tmp_path / "log", *command):
        eventually(lambda: stats(web)["user_count"] == 3, "as many users as were asked for")
        eventually(lambda: stats(web)["total_rps"] > 0, "their events are answered")
        form = b"user_count=5&spawn_rate=5"
        urllib.request.urlopen(f"http://127.0.0.1:{web}/swarm", form, timeout=10).close()
        eventually(lambda: stats(web)["user_count"] == 5, "more of them")
        assert stats(web)["fail_ratio"] == 0


def stats(port: int) -> dict[str, float]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/stats/requests", timeout=10) as answer:
            return dict(json.load(answer))
    except OSError:
        return {"user_count": 0, "total_rps": 0}


def test_without_a_twin_it_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TWINS_NAIVE_PORT", str(free_port()))
    assert main(["--twins", "naive_sync"]) == 1
    assert "`make up` starts it" in capsys.readouterr().err
