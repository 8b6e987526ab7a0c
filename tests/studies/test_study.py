"""A study in pieces: what was whole is kept, what was not changes nothing."""

import json
import os
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from loadtests.live.terminal import Display
from loadtests.stack import StackError
from loadtests.stack.process import on_cpus
from loadtests.studies import study
from loadtests.studies.growth.__main__ import GROWTH
from loadtests.studies.growth.__main__ import main as growth
from loadtests.studies.limits.__main__ import LIMITS
from loadtests.studies.limits.__main__ import main as limits
from loadtests.studies.study import FAILED, INTERRUPTED, Part, Raw, Setup, Study
from tests.conftest import free_settings
from tests.parts import environment
from tests.samples import results
from tests.studies.shared import measured


@pytest.mark.parametrize("each", [LIMITS, GROWTH], ids=lambda each: each.name)
def test_the_page_is_what_its_raw_file_makes(each: Study) -> None:
    made = each.render(study.read(each.raw)) if each.raw.exists() else None
    assert (each.page.read_text() if each.page.exists() else None) == made


def ended_with(error: BaseException | None, setup: Setup) -> int:
    setup.environment = results([])["environment"]
    if error is not None:
        raise error
    return 2


def made_of(error: BaseException | None) -> Study:
    """Two parts, of which the second one may fail."""
    parts = {
        "one": Part(1, lambda setup: ended_with(None, setup)),
        "two": Part(1, lambda setup: ended_with(error, setup)),
    }
    return Study("limits", parts, lambda raw: f"{ {name: each['values'] for name, each in raw.items()} }")


def run(study_: Study, raw: Path, *arguments: str) -> int:
    return study.run(study_, study.parser(study_).parse_args([f"--raw={raw}", *arguments]))


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), INTERRUPTED), (StackError("no MySQL"), FAILED), (None, 0)]
)
def test_parts_that_were_whole_are_kept(error: BaseException | None, status: int, tmp_path: Path) -> None:
    raw = tmp_path / "raw.json"
    before: Raw = {"two": measured(1)}
    raw.write_text(json.dumps(before))
    assert run(made_of(error), raw) == status
    assert {name: each["values"] for name, each in study.read(raw).items()} == {
        "one": 2,
        "two": 1 if error else 2,
    }
    assert raw.with_suffix(".md").exists()


def test_parts_can_be_chosen(tmp_path: Path) -> None:
    assert run(made_of(None), tmp_path / "raw.json", "--parts=two") == 0
    assert set(study.read(tmp_path / "raw.json")) == {"two"}
    with pytest.raises(SystemExit, match="no such part: three"):
        run(made_of(None), tmp_path / "raw.json", "--parts=two,three")


def test_a_part_has_the_servers_on_one_side_and_itself_on_the_other(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(free_settings()).items():
        monkeypatch.setenv(name, value)
    cores = os.sched_getaffinity(0)
    setup = Setup(Namespace(run_dir=run_dir), Display(Console(quiet=True), 0))
    with setup.stack(flush_interval=2.5) as stack:
        beside = stack.server_cpus() or set()
        assert os.sched_getaffinity(0) == cores - beside
        assert psutil.Process(stack.pid("mysql")).cpu_affinity() == sorted(beside or cores)
        with on_cpus(stack.server_cpus()):
            assert os.sched_getaffinity(0) == (beside or cores)
    assert os.sched_getaffinity(0) == cores
    assert setup.environment
    assert setup.environment["flush_interval_seconds"] == 2.5


@pytest.mark.parametrize(("main", "part"), [(limits, "start"), (growth, "rate")], ids=["limits", "growth"])
def test_the_page_alone_can_be_written_again(
    main: Callable[[list[str]], int], part: str, tmp_path: Path
) -> None:
    assert main(["--parts=page", f"--raw={tmp_path / 'raw.json'}"]) == 0
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "raw.json").write_text(json.dumps({part: measured([])}))
    assert main(["--parts=page", f"--raw={tmp_path / 'raw.json'}"]) == 0
    assert f"| {part} |" in (tmp_path / "raw.md").read_text()
