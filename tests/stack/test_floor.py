"""The floor answers as a twin does, and does nothing."""

from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from loadtests.stack.roles import HTTP
from shared.answer import acknowledged, now
from tests.conftest import free_settings, is_free
from tests.parts import running, wait_until

UVICORN = ("-m", "uvicorn", "--factory", "loadtests.stack.floor:create_app", f"--http={HTTP}", "--port")


@pytest.fixture(scope="module")
def floor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HTTPConnection]:
    settings, log = free_settings(), tmp_path_factory.mktemp("floor") / "log"
    with running(settings, Path(log), *UVICORN, str(settings.naive_port)):
        wait_until(lambda: not is_free(settings.naive_port))
        yield HTTPConnection("127.0.0.1", settings.naive_port, timeout=5)


def test_an_event_is_read_and_answered_in_the_size_of_the_real_answer(floor: HTTPConnection) -> None:
    floor.request("POST", "/api/v1/errors/log", b"x" * 1000)
    answer = floor.getresponse()
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert len(answer.read()) == len(acknowledged("queued", now()))


def test_it_is_healthy(floor: HTTPConnection) -> None:
    floor.request("GET", "/api/v1/health")
    assert floor.getresponse().status == 200
