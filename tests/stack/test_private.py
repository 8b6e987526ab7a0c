"""What a run leaves in its folder: events, counts and passwords are for its owner alone."""

import os
import stat
from pathlib import Path

import psutil
import pytest

from loadtests.load.subjects import TWINS
from loadtests.stack import Stack
from loadtests.trial.environment import describe
from tests import client
from tests.conftest import free_settings


def open_to_others(folder: Path) -> list[str]:
    """Whatever another user may read, write or enter; a socket's own bits say nothing."""
    found = []
    for path in [folder, *folder.rglob("*")]:
        mode = path.lstat().st_mode
        if stat.S_IMODE(mode) & 0o077 and not stat.S_ISSOCK(mode):
            found.append(f"{path.relative_to(folder)} {stat.filemode(mode)}")
    return found


@pytest.mark.parametrize(("workers", "older"), [(1, False), (2, True)])
def test_nobody_but_the_owner_can_look_into_a_run(run_dir: Path, workers: int, older: bool) -> None:
    """Whatever the umask is, also where an earlier version has left open folders."""
    run = run_dir / "run"
    if older:
        for name in ("mysql", "redis/appendonlydir", "logs", "prometheus"):
            (run / name).mkdir(parents=True)
        run.chmod(0o700)
    before = os.umask(0o022)
    try:
        with Stack(run, free_settings().model_copy(update={"workers": workers})) as stack:
            stack.start("mysql", "redis")
            stack.start_twin("async_dedup")
            stack.start_observers()
            url = stack.base_url("async_dedup")
            assert client.log(url, "a secret", stackTrace="password = x").status == 200
            while_it_runs = open_to_others(run)
    finally:
        os.umask(before)
    inside = [] if not older else ["redis/appendonlydir drwxr-xr-x"]  # in a folder that is closed now
    assert (while_it_runs, open_to_others(run)) == (inside, inside)


def test_a_folder_of_the_callers_keeps_its_mode(run_dir: Path) -> None:
    """It may be one that others need, as `/tmp`; what is made in it is closed."""
    run_dir.chmod(0o755)
    with Stack(run_dir, free_settings()):
        pass
    assert stat.S_IMODE(run_dir.stat().st_mode) == 0o755
    assert open_to_others(run_dir) == [". drwxr-xr-x"]


SECRET = "never-to-be-shown"


def test_the_password_is_in_no_log_no_result_and_no_process_list(installed_dir: Path) -> None:
    settings = free_settings().model_copy(update={"mysql_password": SECRET})
    with Stack(installed_dir, settings) as stack:
        stack.start("mysql", "redis")
        for twin in TWINS:
            stack.start_twin(twin)
        stack.kill("mysql")  # what goes wrong is told, too
        for twin in TWINS:
            assert client.get(stack.base_url(twin), client.HEALTH).json["data"]["status"] == "degraded"
        stack.start("mysql")
        words = [word for role in (*TWINS, "mysql", "worker") for word in _command_line(stack.pid(role))]
        described = str(describe(stack))
    shown = {
        path.relative_to(installed_dir): path.read_bytes()
        for path in (*installed_dir.glob("*"), *installed_dir.glob("logs/*"))
        if path.is_file()
    }
    assert len(shown) > len(TWINS)
    assert [path for path, text in shown.items() if SECRET.encode() in text] == []
    assert SECRET not in described
    assert [word for word in words if SECRET in word] == []


def _command_line(pid: int) -> list[str]:
    parent = psutil.Process(pid)
    return [word for each in (parent, *parent.children(recursive=True)) for word in each.cmdline()]
