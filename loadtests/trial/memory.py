"""The most memory that processes had."""

import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

SAMPLE_EVERY = 0.5
"""Seconds."""


class PeakMemory:
    """The peak of each process from now on; `roles` has the process ids of each role.

    Linux keeps the peak itself, and begins anew where it is told to. Elsewhere the memory is looked at every
    half second, and what is higher in between is missed. A role's peak is the sum of those of its processes:
    a little too much where they were not at the same moment, or where they share memory.
    """

    def __init__(self, roles: Mapping[str, Collection[int]]) -> None:
        self._roles = roles
        self._sampled = {pid: 0 for pids in roles.values() for pid in pids if not _begin_anew(pid)}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        if self._sampled:
            self._thread.start()

    def end(self) -> dict[str, float]:
        """Return 10^6 bytes by role, without the roles of which a process has ended."""
        self._ended.set()
        if self._sampled:
            self._thread.join()
        peaks = {role: [self._peak(pid) for pid in pids] for role, pids in self._roles.items()}
        return {role: sum(each) / 1e6 for role, each in peaks.items() if each and all(each)}

    def _peak(self, pid: int) -> int:
        return self._sampled[pid] if pid in self._sampled else _kept_peak(pid)

    def _sample(self) -> None:
        while True:
            for pid, before in self._sampled.items():
                with suppress(psutil.Error):
                    self._sampled[pid] = max(before, psutil.Process(pid).memory_info().rss)
            if self._ended.wait(SAMPLE_EVERY):
                return


def _begin_anew(pid: int) -> bool:
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _kept_peak(pid: int) -> int:
    """Bytes; 0 where the process has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
