"""What loads an implementation in one trial, and what came of it."""

from collections import Counter
from functools import partial
from typing import cast

from loadtests.analysis.results import Knee
from loadtests.load.measured import Level, OfService, Timeline
from loadtests.load.profiles import Profile, at_rate
from loadtests.load.progress import Show
from loadtests.load.workload import Mix
from loadtests.stack import Stack
from loadtests.trial.generator import Load, generate
from loadtests.trial.knee import Search, step_seconds
from loadtests.trial.reconcile import Recorded, rest
from loadtests.trial.validity import level_reasons


class Driver:
    """Loads `base_url`, and sums up what its tests recorded: one of a profile, one of each rate of a search.

    Events are counted by fingerprint. Its methods raise TrialFailed.
    """

    def __init__(self, stack: Stack, base_url: str, seed: int, show: Show) -> None:
        self._generate = partial(generate, stack, base_url, show=show)
        self.seed = seed
        self.levels: list[Level] = []
        self.timeline: Timeline | None = None
        self.knee: Knee | None = None
        self.services: dict[str, OfService] = {}
        """Where several send: what each of them did, in the last test."""
        self.service_of: dict[str, str] = {}
        """By fingerprint, but for those of the default service."""
        self.cpu_seconds = 0.0
        self.began_at = 0.0
        """When the last test began, in seconds since 1970."""
        self.ended_at = 0.0
        """When the last answer came, in seconds since 1970."""
        self.failed: Counter[str] = Counter()
        self.acknowledged: Counter[str] = Counter()
        self.unanswered: Counter[str] = Counter()

    def run(self, profile: Profile, mix: Mix | None = None) -> None:
        self.timeline = self._add(Load(profile, self.seed, mix=mix))

    def follow(self, search: Search, recorded: Recorded | None = None, patience: float = 0.0) -> None:
        """Offer every rate that `search` asks for.

        Waits between two of them until all is `recorded`, up to `patience` seconds: none pays for the last.
        """
        try:
            rate = next(search)
            while True:
                self._offer(rate)
                rate = search.send(self.levels[-1])
                if recorded:
                    rest(recorded, self.acknowledged.total(), patience)
        except StopIteration as found:
            self.knee = found.value

    def _offer(self, rate: float) -> None:
        self.probe(at_rate(rate, step_seconds(rate)))
        self.levels[-1]["profile"] = "knee"

    def probe(self, profile: Profile) -> None:
        """One of several; with events of its own, which would be repeated ones to the twin otherwise."""
        self._add(Load(profile, self.seed, part=f"step{len(self.levels) + 1}-"))

    def _add(self, load: Load) -> Timeline:
        record = self._generate(load)
        for level in record["levels"]:
            reasons = level_reasons(level)
            self.levels.append(level | {"valid": not reasons, "invalid_reasons": reasons})
        self.services = record["services"]
        self.service_of |= record["service_of"]
        self.cpu_seconds += record["cpu_seconds"]
        self.began_at, self.ended_at = record["began_at"], record["ended_at"]
        self.failed.update(record["failed"])
        self.acknowledged.update(record["acknowledged"])
        self.unanswered.update(record["unanswered"])
        return cast("Timeline", record["timeline"])
