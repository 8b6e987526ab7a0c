"""What the processes and the machine did meanwhile: CPU time, restarts, time stolen by other machines."""

from collections.abc import Mapping

import psutil

from loadtests.stack import ROLES_OF, Stack


def roles(twin: str) -> dict[str, str]:
    """Return the names in results.json of everything that works for `twin`, with the stack's role of each."""
    return {"app": twin, "mysql": "mysql", "redis": "redis"} | {role: role for role in ROLES_OF[twin][1:]}


class Observation:
    """What happened since it was made; `end` makes the figures final."""

    def __init__(self, stack: Stack, twin: str) -> None:
        self._stack = stack
        self._roles = roles(twin)
        self._cpu_before = self._cpu()
        self._processes_before = self._processes()
        self._machine_before = psutil.cpu_times()
        self.cpu_seconds: dict[str, float] = {}
        self.restarted: list[str] = []
        self.stolen_share = 0.0

    def end(self) -> None:
        processes = self._processes()
        self.restarted = [
            name for name, before in self._processes_before.items() if processes[name] != before
        ]
        self.stolen_share = stolen_share(self._machine_before._asdict(), psutil.cpu_times()._asdict())
        self.cpu_seconds = {name: after - self._cpu_before[name] for name, after in self._cpu().items()}

    def _cpu(self) -> dict[str, float]:
        return {name: cpu_seconds(self._stack.pid(role)) for name, role in self._roles.items()}

    def _processes(self) -> dict[str, set[int]]:
        return {name: self._family(role) for name, role in self._roles.items()}

    def _family(self, role: str) -> set[int]:
        """Redis forks now and then to rewrite its file: its children come and go, the others' do not."""
        if not self._stack.alive(role):
            return set()
        process = psutil.Process(self._stack.pid(role))
        children = [] if role == "redis" else process.children(recursive=True)
        return {process.pid, *(child.pid for child in children)}


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and all its descendants, also those that ended; 0 where it is gone."""
    try:
        process = psutil.Process(pid)
        ended = process.cpu_times().children_user + process.cpu_times().children_system
        family = [process, *process.children(recursive=True)]
        return float(
            ended + sum(times.user + times.system for times in map(psutil.Process.cpu_times, family))
        )
    except psutil.NoSuchProcess:
        return 0.0


def stolen_share(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    """Return how much of all CPU time the hypervisor gave to others; 0 on systems that do not tell."""
    # What the guests of this machine used is in `user` already.
    total = sum(after[kind] - before[kind] for kind in after if not kind.startswith("guest"))
    return (after.get("steal", 0.0) - before.get("steal", 0.0)) / total if total else 0.0
