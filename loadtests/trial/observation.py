"""What the processes and the machine did meanwhile: CPU time, memory, writes, restarts, other work."""

import os
from collections.abc import Mapping
from contextlib import suppress

import psutil

from loadtests.analysis.results import Machine
from loadtests.stack import ROLES_OF, Stack
from loadtests.trial import throttling
from loadtests.trial.memory import PeakMemory

WRITERS = ("mysql", "redis")


def roles(twin: str) -> dict[str, str]:
    """Return the names in results.json of everything that works for `twin`, with the stack's role of each."""
    return {"app": twin, "mysql": "mysql", "redis": "redis"} | {role: role for role in ROLES_OF[twin][1:]}


class Observation:
    """What happened since it was made, to what has a name in `roles`; `end` makes the figures final."""

    def __init__(self, stack: Stack, roles: Mapping[str, str]) -> None:
        self._stack = stack
        self._roles = roles
        self._cpu_before = self._cpu()
        self._processes_before = self._processes()
        self._written_before = self._written()
        self._memory = PeakMemory(self._processes_before)
        self._machine_before = psutil.cpu_times()._asdict()
        self._own_before = self._own_cpu()
        self._throttled_before = throttling.read()
        self.cpu_seconds: dict[str, float] = {}
        self.memory_mb: dict[str, float] = {}
        self.written_mb: dict[str, float] = {}
        self.machine = Machine(stolen_share=0.0, others_share=0.0, restarted=[], throttled_share=0.0)

    def end(self) -> None:
        processes = self._processes()
        restarted = [name for name, before in self._processes_before.items() if processes[name] != before]
        self.memory_mb = self._memory.end()
        used = self._cpu()
        # What a process used that has ended is not known any more.
        self.cpu_seconds = {name: max(0.0, used[name] - before) for name, before in self._cpu_before.items()}
        self.written_mb = {
            name: (written - self._written_before[name]) / 1e6
            for name, written in self._written().items()
            if written >= self._written_before.get(name, written + 1)
        }
        ours = sum(self.cpu_seconds.values()) + self._own_cpu() - self._own_before
        after = psutil.cpu_times()._asdict()
        stolen, others = machine_shares(self._machine_before, after, ours)
        self.machine = Machine(
            stolen_share=stolen,
            others_share=others,
            restarted=restarted,
            throttled_share=throttling.share(self._throttled_before, throttling.read()),
        )

    def _own_cpu(self) -> float:
        """Of the bench itself, and of what watches the stack beside it."""
        observers = sum(cpu_seconds(self._stack.pid(role)) for role in self._stack.observers())
        return own_cpu_seconds() + observers

    def _cpu(self) -> dict[str, float]:
        return {name: cpu_seconds(self._stack.pid(role)) for name, role in self._roles.items()}

    def _written(self) -> dict[str, int]:
        """Return the bytes that each has sent to the disk in its life, where the system tells."""
        written = {}
        for name in self._roles.keys() & set(WRITERS):
            # macOS has no such counter; others are not shown those of another user.
            with suppress(AttributeError, psutil.Error):
                written[name] = psutil.Process(self._stack.pid(self._roles[name])).io_counters().write_bytes
        return written

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


def own_cpu_seconds() -> float:
    """Return the CPU time of this process and of its children that ended, the generators among them."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def machine_shares(
    before: Mapping[str, float], after: Mapping[str, float], ours: float
) -> tuple[float, float]:
    """Return how much of all CPU time went to other machines, and how much to other work on this one.

    `before` and `after` are seconds by kind; `ours` is what the benchmark itself used in between.
    """
    # What the guests of this machine used is in `user` already.
    spent = {kind: after[kind] - before[kind] for kind in after if not kind.startswith("guest")}
    total, stolen = sum(spent.values()) or 1.0, spent.get("steal", 0.0)
    busy = total - stolen - spent["idle"] - spent.get("iowait", 0.0)
    return stolen / total, max(0.0, busy - ours) / total
