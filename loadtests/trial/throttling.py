"""How often a CPU quota stopped this process and its children: of its control group, or one further up.

Both versions of cgroups, each as proc(5) tells it. On a system without them nobody is throttled.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

Throttled = dict[Path, tuple[int, int]]
"""For each group with a quota its periods so far, and those in which it was stopped."""


def read(proc: Path = Path("/proc/self")) -> Throttled:
    found = {}
    for folder in _folders(proc):
        with suppress(OSError, KeyError, ValueError):
            lines = (folder / "cpu.stat").read_text().splitlines()
            stat = dict(line.split() for line in lines)
            found[folder] = (int(stat["nr_periods"]), int(stat["nr_throttled"]))
    return found


def share(before: Throttled, after: Throttled) -> float:
    """Return the share of throttled periods, of the group where it is the highest."""
    shares = [0.0]
    for folder, (periods, throttled) in after.items():
        periods_before, throttled_before = before.get(folder, (0, 0))
        if periods > periods_before:
            shares.append((throttled - throttled_before) / (periods - periods_before))
    return max(shares)


def _folders(proc: Path) -> Iterator[Path]:
    """Yield the folder of each group that may have a quota, from its own to the topmost that is visible."""
    try:
        paths = dict(_group(line) for line in (proc / "cgroup").read_text().splitlines())
        mounts = (proc / "mountinfo").read_text().splitlines()
    except OSError:
        return
    for version, root, mounted in filter(None, map(_mount, mounts)):
        if path := paths.get(version):
            # Of another namespace the path leads out of what is mounted: then that is all there is to see.
            seen = path.is_relative_to(root) and ".." not in path.parts
            group = mounted / path.relative_to(root) if seen else mounted
            yield from (each for each in (group, *group.parents) if each.is_relative_to(mounted))


def _group(line: str) -> tuple[int, Path]:
    """Return for which version of cgroups, 0 where a quota has no part in it, which group that is."""
    _, controllers, path = line.split(":", 2)
    return (1 if "cpu" in controllers.split(",") else 0 if controllers else 2), Path(path)


def _mount(line: str) -> tuple[int, Path, Path] | None:
    """Return the version, the group that is mounted, and where; None where a quota has no part in it."""
    fields, _, rest = line.partition(" - ")
    kind, _, options = rest.split(" ", 2)
    root, mounted = (Path(_unescaped(field)) for field in fields.split()[3:5])
    if kind == "cgroup2":
        return 2, root, mounted
    return (1, root, mounted) if kind == "cgroup" and "cpu" in options.split(",") else None


def _unescaped(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), field)
