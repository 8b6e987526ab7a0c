"""One kind of fault after the other, each many times under one load; then the drain, and the verdict."""

import time
from collections.abc import Sequence
from itertools import pairwise
from random import Random

from typing_extensions import TypedDict

from async_dedup import spool
from async_dedup.buffer import Buffer
from loadtests.stack import Stack
from loadtests.studies.faults.history import History, load
from loadtests.studies.faults.kinds import API, FAULTS, World
from loadtests.studies.faults.oracle import Verdict, judge, recorded
from loadtests.studies.study import Setup, emptied
from loadtests.trial.generator import TrialFailed
from shared.db import make_background_engine

TIMES = 50
RECOVERY = 5.0
"""Seconds after a fault within which a new event has to go through."""
DRAIN = 60.0
"""Seconds after the last fault within which everything has to be in MySQL."""
LOOK_EVERY = 0.02
CALM = 0.2
"""Seconds at least between two faults."""


class Campaign(TypedDict):
    """What came of a kind of fault."""

    fault: str
    about: str
    times: int
    seed: int
    acknowledged: int
    unknown: int
    refused: int
    lost: int
    doubled: int
    wrong: list[str]
    longest_silence: float
    """Seconds without an acknowledgement, the fault's own duration included."""
    recovery: float
    """Seconds from the end of a fault to the next acknowledgement; the longest."""
    drain: float
    """Seconds from the last answer until MySQL had everything."""


def campaign(setup: Setup, names: Sequence[str], times: int = TIMES) -> list[Campaign]:
    """Return what came of each kind. Raises StackError, and TrialFailed where the twin does not come back."""
    seed = setup.options.seed
    print(f"seed {seed}; each {times} times: {', '.join(names)}", flush=True)
    with setup.stack() as stack:
        return [_campaign(setup, stack, name, times, seed + at) for at, name in enumerate(names)]


def _campaign(setup: Setup, stack: Stack, name: str, times: int, seed: int) -> Campaign:
    fault, world, random = FAULTS[name], World(stack, seed), Random(seed)  # noqa: S311 - to be repeated
    emptied(stack).dispose()
    stack.start_twin(API)
    try:
        recovery = 0.0
        with load(stack.base_url(API), seed) as history:
            await_event(history)
            for each in range(1, times + 1):
                setup.display.step(f"{name}: {each} of {times}")
                fault.inject(world)
                recovery = max(recovery, await_event(history))
                time.sleep(CALM + random.uniform(0, CALM))
        ended = time.monotonic()
        verdict = drained(stack, history)
        return {
            "fault": name,
            "about": fault.about,
            "times": times,
            "seed": seed,
            "acknowledged": history.totals["acknowledged"],
            "unknown": history.totals["unknown"],
            "refused": history.totals["refused"],
            "lost": verdict.lost,
            "doubled": verdict.doubled,
            "wrong": verdict.wrong[:10],
            "longest_silence": longest_silence(history.answers),
            "recovery": recovery,
            "drain": time.monotonic() - ended,
        }
    finally:
        stack.stop_twin(API)


def await_event(history: History) -> float:
    """Return the seconds until the next event is acknowledged. Raises TrialFailed after a while."""
    began = time.monotonic()
    while not history.acknowledged_since(began):
        if time.monotonic() - began > 6 * RECOVERY:
            raise TrialFailed(f"nothing was acknowledged for {6 * RECOVERY:.0f} s")
        time.sleep(LOOK_EVERY)
    return time.monotonic() - began


def drained(stack: Stack, history: History) -> Verdict:
    """The verdict once Redis and the spool are empty, and every row has its message."""
    engine, buffer, deadline = (
        make_background_engine(stack.settings),
        Buffer(stack.settings),
        time.monotonic() + DRAIN,
    )
    try:
        while True:
            state = buffer.state()
            left = state.fingerprints + state.batches + state.first_events
            spooled = spool.files(stack.settings.spool_folder)
            verdict = judge(history, recorded(engine))
            if (not left and not spooled and verdict.is_clean) or time.monotonic() > deadline:
                return verdict
            time.sleep(10 * LOOK_EVERY)
    finally:
        engine.dispose()


def longest_silence(answers: Sequence[float]) -> float:
    return max((after - before for before, after in pairwise(answers)), default=0.0)
