"""A whole run: every floor and every trial, and the results as far as it went."""

import argparse
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from loadtests.analysis.pairs import capacity, compare, control
from loadtests.analysis.results import Environment, Knee, Results, Trial, Turn
from loadtests.live.terminal import Display
from loadtests.load.measured import Level
from loadtests.load.progress import PROGRESS, Show, step_line, tell
from loadtests.load.subjects import OTHER
from loadtests.stack import Stack
from loadtests.stack.attached import Attached
from loadtests.stack.observers import LIVE, PROMETHEUS, RUN
from loadtests.stack.process import on_cpus
from loadtests.trial import audits, environment
from loadtests.trial.generator import TrialFailed
from loadtests.trial.over_http import check_health
from loadtests.trial.plan import parts, planned_seconds, turns
from loadtests.trial.trial import run_floor, run_other, run_trial
from shared.settings import load


class Measurement:
    """What was measured so far; `results` tells it at any time from the first trial on."""

    def __init__(self, options: argparse.Namespace, command: str) -> None:
        self._options = options
        self._command, self._commit = command, environment.commit()
        self._started, self._clock = datetime.now(UTC), time.monotonic()
        self.name = f"{self._started:%Y%m%dT%H%M%SZ}-{options.profile}"
        subjects = [*options.twins, *([OTHER] if options.host else [])]
        self._parts = parts(options.profile, options.pairs)
        self._turns = {part.profile: turns(part, subjects, options.seed) for part in self._parts}
        self.planned_seconds = planned_seconds(self._parts, len(subjects))
        self._environment: Environment | None = None
        self._floor: list[Level] = []
        self._floor_knee: Knee | None = None
        self._failed: list[str] = []
        self.trials: list[Trial] = []

    def run(self, display: Display, keep: Callable[[], None], end: Callable[[], Mapping[str, str]]) -> None:
        """Measure all, and call `keep` after each trial. One that fails is missing, and the others go on.

        `end` returns the line of how it ended, for who watches.

        Raises StackError, and TrialFailed where there is nobody to measure.
        """
        options = self._options
        if options.host:
            check_health(options.host)
        os.environ[RUN] = self.name
        progress = options.run_dir / PROGRESS

        def step(text: str) -> None:
            display.step(text)
            tell(progress, step_line(text))

        with (
            self._stack() as stack,
            # What shows, probes and waits must not cost a twin anything.
            on_cpus(stack.generator_cpus()),
            display,
        ):
            display.step("starting MySQL and Redis")
            for role in ("mysql", "redis"):
                stack.start(role)
            stack.start_observers()
            if stack.alive(LIVE):
                display.say(f"Live: {stack.base_url(LIVE)}")
            self._environment = environment.describe(stack)
            for profile, planned in self._turns.items():
                step(f"{profile}: floor, a handler that does nothing")
                self._add_floor(*run_floor(stack, profile, options.seed, display.load))
                for turn in planned:
                    step(f"{profile}: pair {turn.pair} of {_pairs(planned)}, {turn.twin}")
                    try:
                        self.trials.append(self._trial(stack, turn, display.load))
                    except TrialFailed as error:
                        self._failed.append(f"{profile}, pair {turn.pair}, {turn.twin}: {error}")
                        display.say(f"Failed: {self._failed[-1]}")
                    else:
                        keep()
            if self.trials and stack.alive(PROMETHEUS):
                step("until Prometheus has seen the last audit")
                with suppress(KeyboardInterrupt):  # the run is whole
                    audits.wait_until_kept(stack.address(PROMETHEUS), self.trials)
            if self.trials:
                tell(progress, end())

    def results(self, why_missing: str = "the run did not get that far") -> Results:
        """Return what there is; `why_missing` is about the trials that were planned and never begun."""
        assert self._environment
        return {
            "schema": 1,
            "run": self.name,
            "started_at": self._started.isoformat(timespec="seconds"),
            "seconds": time.monotonic() - self._clock,
            "commit": self._commit,
            "seed": self._options.seed,
            "profile": self._options.profile,
            "host": self._options.host,
            "command": self._command,
            "environment": self._environment,
            "trials": self.trials,
            "missing": self._missing(why_missing),
            "floor": self._floor,
            "floor_knee": self._floor_knee,
            "comparison": compare(self.trials),
            "control": control(self.trials),
            "capacity": capacity(self.trials),
        }

    def _stack(self) -> Stack:
        if self._options.running:
            return Attached(self._options.run_dir, load())
        return Stack(self._options.run_dir, load(), pin=True)

    def _add_floor(self, levels: list[Level], knee: Knee | None) -> None:
        self._floor += levels
        self._floor_knee = self._floor_knee or knee

    def _trial(self, stack: Stack, turn: Turn, show: Show) -> Trial:
        options = self._options
        if options.running or turn.twin == OTHER:
            return run_other(stack, turn, options.host or stack.base_url(turn.twin), show)
        return run_trial(stack, turn, options.seed, show)

    def _missing(self, why: str) -> list[str]:
        planned = sum(map(len, self._turns.values()))
        never_begun = planned - len(self.trials) - len(self._failed)
        return [*self._failed, *([f"{never_begun} of {planned} trials: {why}"] if never_begun else [])]


def _pairs(planned: Sequence[Turn]) -> int:
    return max(turn.pair for turn in planned)
