"""A CPU quota is seen wherever it is set: on the own group or one above, in both versions of cgroups."""

from pathlib import Path

import pytest

from loadtests.trial.throttling import read, share

STAT = "nr_periods {}\nnr_throttled {}\nthrottled_time 5\n"
V1 = (
    "31 23 0:28 / {}/cpuacct rw - cgroup cgroup rw,cpuacct\n"
    "32 31 0:29 {} {}/cpu,cpuacct rw,nosuid shared:9 - cgroup c rw,cpu,cpuacct\n"
)
V2 = "30 23 0:26 {} {} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"


class Machine:
    """Files as Linux shows them: /proc/self, and groups with the counts of their quota."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.mounted = folder / "proc", folder / "cg roup"
        self.proc.mkdir()

    def tells(self, groups: str, mounts: str) -> None:
        (self.proc / "cgroup").write_text(groups)
        (self.proc / "mountinfo").write_text(mounts)

    def quota(self, group: str, periods: int, throttled: int) -> None:
        (self.mounted / group).mkdir(parents=True, exist_ok=True)
        (self.mounted / group / "cpu.stat").write_text(STAT.format(periods, throttled))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def v1(machine: Machine, path: str, root: str = "/") -> None:
    mounted = str(machine.mounted).replace(" ", "\\040")
    machine.tells(f"5:memory:/elsewhere\n4:cpu,cpuacct:{path}\n0::/\n", V1.format(mounted, root, mounted))


def v2(machine: Machine, path: str, root: str = "/") -> None:
    machine.tells(f"0::{path}\n", V2.format(root, str(machine.mounted).replace(" ", "\\040")))


@pytest.mark.parametrize("limited", ["user/session", "user", ""])
def test_a_quota_of_the_group_or_of_one_above_is_seen(machine: Machine, limited: str) -> None:
    for tells, prefix in ((v1, "cpu,cpuacct/"), (v2, "")):
        tells(machine, "/user/session")
        for group in ("user/session", "user", ""):
            machine.quota(prefix + group, 0, 0)
        machine.quota(prefix + limited, 100, 10)
        before = read(machine.proc)
        machine.quota(prefix + limited, 524, 233)
        assert share(before, read(machine.proc)) == 223 / 424


def test_a_container_sees_its_own_group_as_the_root(machine: Machine) -> None:
    for tells, prefix in ((v1, "cpu,cpuacct/"), (v2, "")):
        machine.quota(prefix, 100, 50)
        for path, root in (("/docker/1", "/docker/1"), ("/", "/"), ("/../..", "/"), ("/other", "/docker/1")):
            tells(machine, path, root)
            assert share({}, read(machine.proc)) == 0.5


def test_who_has_no_quota_is_never_throttled(machine: Machine) -> None:
    assert share(read(machine.proc), read(machine.proc)) == 0.0  # no such system
    v2(machine, "/user")
    (machine.mounted / "user").mkdir(parents=True)
    (machine.mounted / "user" / "cpu.stat").write_text("usage_usec 5\n")
    assert share({}, read(machine.proc)) == 0.0
    machine.quota("user", 100, 0)
    machine.quota("neighbour", 100, 100)
    assert share({}, read(machine.proc)) == 0.0


def test_this_system_can_be_read() -> None:
    assert 0.0 <= share(read(), read()) <= 1.0
