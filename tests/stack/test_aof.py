"""A torn end of Redis's file: what was acknowledged is there, and what was not is not there by halves."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
import yaml

from async_dedup.buffer import Buffer
from async_dedup.group_buffer import GroupBuffer
from loadtests.bootstrap import ROOT
from loadtests.stack import Stack, StackError
from loadtests.stack.aof import EXEC, MULTI, repair, whole_until
from loadtests.stack.servers import redis_binary
from tests.conftest import free_settings
from tests.parts import add, counted, event, first_events

A, B = event("a", "trace of a" * 50), event("b", "trace of b" * 50)
SERVICE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["redis"]


@pytest.fixture
def mine(run_dir: Path) -> Iterator[Stack]:
    """A Redis that may be torn."""
    with Stack(run_dir, free_settings()) as stack:
        stack.start("redis")
        yield stack


def last_file(stack: Stack) -> Path:
    return sorted((stack.run_dir / "redis" / "appendonlydir").glob("*.incr.aof"))[-1]


def add_groups(stack: Stack, groups: int) -> None:
    asyncio.run(add(stack.settings, *([A, B, A] for _ in range(groups))))


# Where the last group's transaction is torn: its bytes, told from where it begins.
TEARS: dict[str, Callable[[bytes], int]] = {
    "in MULTI": lambda _: 7,
    "behind MULTI": lambda _: len(MULTI),
    "in the first command": lambda _: len(MULTI) + 11,
    "between two commands": lambda group: group.index(b"HINCRBY", len(MULTI)) - len("*4\r\n$7\r\n"),
    "in a payload": lambda group: group.index(b"trace of b") + 100,
    "before EXEC": lambda group: len(group) - len(EXEC),
    "in EXEC": lambda group: len(group) - 3,
}


@pytest.mark.parametrize("tear", TEARS.values(), ids=TEARS)
def test_a_transaction_that_was_torn_is_never_completed(mine: Stack, tear: Callable[[bytes], int]) -> None:
    """Torn, started, written to, killed, started: what the next server appends must not end it."""
    buffer = Buffer(mine.settings)
    add_groups(mine, 4)
    add_groups(mine, 1)  # by another process: with its payloads
    mine.kill("redis")
    file = last_file(mine)
    data = file.read_bytes()
    begins = data.rindex(MULTI)
    file.write_bytes(data[: begins + tear(data[begins:])])
    mine.start("redis")
    assert "bytes of a transaction that a kill had torn were cut off" in mine.log_path("redis").read_text()
    assert counted(buffer) == {A.fingerprint: 8, B.fingerprint: 4}
    add_groups(mine, 3)
    for _ in range(2):
        mine.kill("redis")
        mine.start("redis")
        assert counted(buffer) == {A.fingerprint: 14, B.fingerprint: 7}
        assert len(first_events(buffer)) == 4  # of two processes


async def add_until_killed(stack: Stack, moment: float) -> int:
    """Groups of a known event and a new, large one; return how many were acknowledged."""
    buffer, acknowledged = GroupBuffer(stack.settings), 0
    asyncio.get_running_loop().call_later(moment, stack.kill, "redis")
    try:
        while True:
            large = event(f"{moment} {acknowledged}", str(acknowledged) * 60_000)
            await buffer.add([A, large])
            acknowledged += 1
    except redis.RedisError:
        return acknowledged
    finally:
        await buffer.close()


def test_a_redis_that_is_killed_again_and_again_keeps_what_it_acknowledged(mine: Stack) -> None:
    buffer, acknowledged = Buffer(mine.settings), 0
    for kills, moment in enumerate((0.1, 0.15, 0.2, 0.25), 1):
        acknowledged += asyncio.run(add_until_killed(mine, moment))
        mine.start("redis")
        found = counted(buffer)
        groups = found.pop(A.fingerprint)
        assert acknowledged <= groups <= acknowledged + kills
        assert list(found.values()) == [1] * groups


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a Redis that has run two scripts and a plain command, and was killed."""
    folder = tmp_path_factory.mktemp("written")
    with Stack(folder, free_settings()) as stack:
        stack.start("redis")
        add_groups(stack, 2)
        with redis.Redis(port=stack.settings.redis_port) as client:
            client.set("plain", "command")
        add_groups(stack, 1)
        stack.kill("redis")
    return folder / "redis"


def test_every_cut_ends_behind_what_is_whole(written: Path) -> None:
    """Wherever the file is torn: no whole transaction is lost, and no half one is left."""
    data = sorted((written / "appendonlydir").glob("*.incr.aof"))[-1].read_bytes()
    plain = data.index(b"*3\r\n$3\r\nSET\r\n$5\r\nplain")
    ends = [0, *(found + len(EXEC) for found in positions(data, EXEC)), data.index(b"command\r\n") + 9]
    assert data.count(MULTI) == 3
    assert plain in ends
    before = data.index(MULTI)  # SELECT
    for size in range(before, len(data) + 1):
        assert whole_until(data[:size]) == max(end for end in [before, *ends] if end <= size), size


def positions(data: bytes, part: bytes) -> list[int]:
    return [at for at in range(len(data)) if data.startswith(part, at)]


def test_what_is_damaged_and_not_torn_is_left_alone_and_refused(mine: Stack) -> None:
    """To cut it there would lose what comes behind it, which was acknowledged."""
    add_groups(mine, 3)
    mine.kill("redis")
    file = last_file(mine)
    data = file.read_bytes()
    for at in (data.index(MULTI), data.rindex(b"HINCRBY") - 4):
        file.write_bytes(data[:at] + b"#####" + data[at + 5 :])
        assert repair(mine.run_dir / "redis") == 0
        with pytest.raises(StackError, match="redis ended with status 1"):
            mine.start("redis")


def test_without_a_file_or_with_an_empty_one_there_is_nothing_to_do(mine: Stack) -> None:
    assert repair(mine.run_dir) == 0
    mine.kill("redis")
    last_file(mine).write_bytes(b"")
    mine.start("redis")
    assert mine.alive("redis")


def copied(written: Path, folder: Path) -> Path:
    """Without the base, which is empty: Valkey 9's tool can't read that of its own server."""
    shutil.copytree(written, folder)
    manifest = folder / "appendonlydir" / "appendonly.aof.manifest"
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(line for line in lines if " type i" in line))
    return folder


def started_in_compose(folder: Path, tools: Path) -> subprocess.CompletedProcess[str]:
    """The container's entry point on a folder of data, with the server itself left out."""
    program, option, script, name = SERVICE["entrypoint"]
    return subprocess.run(
        [program, option, script.replace("$$", "$"), name, "redis-server", "--dir", "a b"],
        cwd=folder,
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """What the image has."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "redis-check-aof").symlink_to(redis_binary())
    start = tmp_path / "tools" / "docker-entrypoint.sh"
    start.write_text('#!/bin/sh\nprintf "[%s]" "$@"\n')
    start.chmod(0o755)
    return tmp_path / "tools"


@pytest.mark.parametrize("tear", TEARS.values(), ids=TEARS)
def test_a_container_repairs_as_the_native_one(
    written: Path, tools: Path, tmp_path: Path, tear: Callable[[bytes], int]
) -> None:
    native, composed = (copied(written, tmp_path / name) for name in ("native", "composed"))
    for folder in (native, composed):
        file = sorted((folder / "appendonlydir").glob("*.incr.aof"))[-1]
        data = file.read_bytes()
        begins = data.rindex(MULTI)
        file.write_bytes(data[: begins + tear(data[begins:])])
    assert repair(native) > 0
    done = started_in_compose(composed, tools)
    assert (done.returncode, done.stdout.endswith("[redis-server][--dir][a b]")) == (0, True), done.stderr
    assert contents(native) == contents(composed)


def test_a_container_leaves_alone_what_is_whole_or_damaged(
    written: Path, tools: Path, tmp_path: Path
) -> None:
    for name, damage in (("whole", b""), ("damaged", b"#####")):
        folder = copied(written, tmp_path / name)
        file = sorted((folder / "appendonlydir").glob("*.incr.aof"))[-1]
        data = file.read_bytes()
        at = data.index(b"HINCRBY") - 4
        file.write_bytes(data[:at] + damage + data[at + len(damage) :])
        before = contents(folder)
        assert started_in_compose(folder, tools).stdout.endswith("[redis-server][--dir][a b]")
        assert contents(folder) == before
    (tmp_path / "new").mkdir()
    assert started_in_compose(tmp_path / "new", tools).stdout == "[redis-server][--dir][a b]"


def contents(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()]
