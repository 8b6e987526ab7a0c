"""Learners who share a machine have each a folder and ports of their own, and nobody is there twice."""

import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from loadtests.bootstrap import ROOT
from loadtests.stack import StackError, place
from loadtests.stack.place import (
    BLOCK,
    FIRST_PORTS,
    LAB_USER,
    PORTS,
    Place,
    learner,
    place_of_learner,
    run_folder,
    typed,
)

STAY = """
import sys
from pathlib import Path
from loadtests.stack.place import place_of_learner

with place_of_learner(Path(sys.argv[1])) as place:
    print(min(place.ports.values(), default=0), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def ada(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LAB_USER, "ada")
    for name in [each for each in os.environ if each.startswith("TWINS_")]:
        monkeypatch.delenv(name)


def stay(run_dir: Path, name: str) -> "subprocess.Popen[str]":
    """A process that has the learner's place until its input ends; it tells the first port."""
    return subprocess.Popen(
        [sys.executable, "-c", STAY, str(run_dir)],
        env={**os.environ, LAB_USER: name},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def first_port(process: "subprocess.Popen[str]") -> int:
    assert process.stdout
    return int(process.stdout.readline())


def test_without_a_name_all_is_as_the_settings_say(run_dir: Path) -> None:
    with place_of_learner(run_dir) as found:
        assert found == Place(run_dir, {})
    assert [path.name for path in run_dir.iterdir()] == ["workshop"]
    assert typed("make lab N=3") == "make lab N=3"


def test_six_at_the_same_moment_share_no_port(run_dir: Path, ada: None) -> None:
    with ThreadPoolExecutor(6) as pool:
        names = ["ada", "bob", "cid", "dot", "eve", "fox"]
        learners = list(pool.map(lambda name: stay(run_dir, name), names))
    try:
        firsts = list(map(first_port, learners))
    finally:
        for each in learners:
            each.communicate()
    ports = {port for first in firsts for port in range(first, first + BLOCK)}
    assert len(ports) == 6 * BLOCK
    assert {each.name for each in (run_dir / "learners").iterdir() if each.is_dir()} == set(names)


def test_of_six_who_look_at_the_same_block_first_one_has_it(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zlib.crc32", lambda _: 0)
    with ThreadPoolExecutor(6) as pool:
        firsts = list(pool.map(lambda name: place._first_port(run_dir, name), "abcdef"))
    assert len(set(firsts)) == 6
    assert json.loads((run_dir / "ports.json").read_text()) == dict(zip("abcdef", firsts, strict=True))


def test_blocks_lie_apart_and_below_the_ports_of_outgoing_connections() -> None:
    assert FIRST_PORTS.step == BLOCK >= len(PORTS)
    assert FIRST_PORTS[-1] + BLOCK <= 32_768


def test_a_learner_keeps_the_ports_and_those_of_a_setting_come_first(
    run_dir: Path, ada: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with place_of_learner(run_dir) as before:
        assert before.run_dir == run_dir / "learners" / "ada"
        assert set(before.ports) == set(PORTS)
    monkeypatch.setenv("TWINS_MYSQL_PORT", "13307")
    with place_of_learner(run_dir) as after:
        assert after.ports == {name: port for name, port in before.ports.items() if name != "mysql_port"}


def test_ports_that_somebody_has_are_not_given_away(run_dir: Path, tmp_path: Path, ada: None) -> None:
    with place_of_learner(run_dir) as found:
        first = min(found.ports.values())
    with socket.create_server(("127.0.0.1", first + 7)), place_of_learner(tmp_path) as other:
        assert min(other.ports.values()) != first


def test_when_no_ports_are_left_it_is_said(run_dir: Path, ada: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "FIRST_PORTS", FIRST_PORTS[:1])
    (run_dir / "learners").mkdir()
    (run_dir / "learners" / "ports.json").write_text(f'{{"bob": {FIRST_PORTS[0]}}}')
    with pytest.raises(StackError, match="no 20 ports are left"), place_of_learner(run_dir):
        pass


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("ada", r"^ada is at work already \(pid {}\)"),
        ("", r"^another lab or demo is at work here already \(pid {}\)"),
    ],
)
def test_a_learner_is_at_one_place_at_a_time_and_a_killed_one_leaves_it(
    run_dir: Path, ada: None, monkeypatch: pytest.MonkeyPatch, name: str, told: str
) -> None:
    monkeypatch.setenv(LAB_USER, name)
    there = stay(run_dir, name)
    try:
        first = first_port(there)
        with pytest.raises(StackError, match=told.format(there.pid)) as refused, place_of_learner(run_dir):
            pass
        assert "make down" not in str(refused.value)
        assert (f"{LAB_USER}=name" in str(refused.value)) is (name == "")
        there.send_signal(signal.SIGKILL)
        there.wait()
        with place_of_learner(run_dir) as found:
            assert min(found.ports.values(), default=0) == first
    finally:
        there.kill()
        there.communicate()


def test_who_has_a_name_may_be_beside_one_without(run_dir: Path, ada: None) -> None:
    there = stay(run_dir, "")
    try:
        assert first_port(there) == 0
        with place_of_learner(run_dir) as found:
            assert found.run_dir != run_dir
    finally:
        there.communicate()


def test_a_folder_that_is_made_is_for_its_owner_alone(run_dir: Path) -> None:
    before = os.umask(0o022)
    try:
        with place_of_learner(run_dir / "run"):
            pass
    finally:
        os.umask(before)
    assert [path.name for path in (run_dir, *run_dir.rglob("*")) if path.stat().st_mode & 0o077] == []


@pytest.mark.parametrize(("given", "name"), [("ada", "ada"), ("Ada", "ada"), ("a-1_b", "a-1_b"), ("", None)])
def test_a_name(given: str, name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LAB_USER, given)
    assert learner() == name


@pytest.mark.parametrize("given", ["a b", "../ada", "ä", "-n", "x" * 21, "ada\n", "[/red]", "."])
def test_what_is_no_name_is_refused(given: str, monkeypatch: pytest.MonkeyPatch, run_dir: Path) -> None:
    monkeypatch.setenv(LAB_USER, given)
    with pytest.raises(StackError, match="up to 20 of a-z, 0-9") as told, place_of_learner(run_dir):
        pass
    assert "\n" not in str(told.value)


def test_a_command_is_told_with_the_name(ada: None) -> None:
    assert typed("make lab N=3") == "make lab N=3 LAB_USER=ada"


def test_the_run_folder_is_beside_the_code_where_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TWINS_RUN_DIR", raising=False)
    assert run_folder() == ROOT / ".run"
    monkeypatch.setenv("TWINS_RUN_DIR", str(tmp_path))
    assert run_folder() == tmp_path.resolve()
