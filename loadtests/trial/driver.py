"""What loads an implementation in one trial, and what came of it."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import cast

from loadtests.analysis.results import Knee, Level, Timeline
from loadtests.load.profiles import Profile, at_rate
from loadtests.load.workload import Mix
from loadtests.stack import Stack
from loadtests.trial.generator import Load, Show, generate
from loadtests.trial.knee import (
    OF_KNEE,
    PRECISION,
    RATES,
    SHARES,
    GeneratorLimit,
    confirm,
    find_knee,
    step_seconds,
    why_too_much,
)
from loadtests.trial.validity import generator_reasons, level_reasons

Rest = Callable[[int], None]
"""Waits until so many events are recorded, so that a step does not pay for the one before."""


class Driver:
    """Loads `base_url`, and sums up what its tests recorded: one for a profile, one for each step of a knee.

    Events are counted by fingerprint. Its methods raise TrialFailed.
    """

    def __init__(self, stack: Stack, base_url: str, seed: int, show: Show) -> None:
        self._generate = partial(generate, stack, base_url, show=show)
        self.seed = seed
        self.levels: list[Level] = []
        self.timeline: Timeline | None = None
        self.knee: Knee | None = None
        self.cpu_seconds = 0.0
        self.ended_at = 0.0
        """When the last answer came, in seconds since 1970."""
        self.failed: Counter[str] = Counter()
        self.acknowledged: Counter[str] = Counter()
        self.unanswered: Counter[str] = Counter()

    def run(self, profile: Profile, mix: Mix | None = None) -> None:
        self.timeline = self._add(Load(profile, self.seed, mix=mix))

    def find_knee(self, rest: Rest, rates: Sequence[float] = RATES, precision: float = PRECISION) -> None:
        self.knee = find_knee(lambda rate: self._try_rate(rate, rest), rates, precision)

    def confirm_knee(self, rest: Rest) -> None:
        """Measure at the knee again, and lower it where it does not hold."""
        assert self.knee
        self.knee = confirm(self.knee, lambda rate: self._try_rate(rate, rest, ", again"))
        if self.knee["rps"]:
            self.levels[-1]["name"] = f"100{OF_KNEE}"

    def measure_below_knee(self, rest: Rest) -> None:
        """Measure the latency at shares of the knee, where there is one."""
        knee = self.knee["rps"] if self.knee else None
        for share in SHARES if knee else ():
            level = self._step((knee or 0) * share / 100, rest)
            level["name"] = f"{share}{OF_KNEE}"

    def _try_rate(self, rate: float, rest: Rest, note: str = "") -> str | None:
        """Once more where it is too much: a hiccup of the machine is not the twin's limit."""
        with suppress(GeneratorLimit):
            if self._offer(rate, rest, note) is None:
                return None
        self.levels[-1]["name"] += ", first try"
        return self._offer(rate, rest, note)

    def _offer(self, rate: float, rest: Rest, note: str) -> str | None:
        level = self._step(rate, rest)
        level["name"] += note
        if reasons := generator_reasons(level["generator"]):
            raise GeneratorLimit("; ".join(reasons))
        return why_too_much(level)

    def _step(self, rate: float, rest: Rest) -> Level:
        if self.levels:
            rest(self.acknowledged.total())
        # Each step has unique events of its own: they would be repeated ones to the twin otherwise.
        self._add(Load(at_rate(rate, step_seconds(rate)), self.seed, part=f"step{len(self.levels) + 1}-"))
        level = self.levels[-1]
        level["profile"] = "knee"
        return level

    def _add(self, load: Load) -> Timeline:
        record = self._generate(load)
        for level in record["levels"]:
            reasons = level_reasons(level)
            self.levels.append(level | {"valid": not reasons, "invalid_reasons": reasons})
        self.cpu_seconds += record["cpu_seconds"]
        self.ended_at = record["ended_at"]
        self.failed.update(record["failed"])
        self.acknowledged.update(record["acknowledged"])
        self.unanswered.update(record["unanswered"])
        return cast("Timeline", record["timeline"])
