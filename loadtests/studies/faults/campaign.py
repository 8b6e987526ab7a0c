"""One kind of fault after the other, each many times under one load; then the drain, and the verdict."""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from itertools import pairwise

from typing_extensions import TypedDict

from async_dedup import spool
from async_dedup.buffer import Buffer
from loadtests.load.subjects import ASYNC, NAIVE
from loadtests.stack import Stack
from loadtests.stack.roles import SECOND
from loadtests.studies.faults.history import History, load
from loadtests.studies.faults.kinds import FAULTS, Fault
from loadtests.studies.faults.oracle import Verdict, judge, recorded
from loadtests.studies.faults.world import World
from loadtests.studies.study import Setup, emptied
from loadtests.trial.generator import TrialFailed
from shared.db import make_background_engine

TIMES = 10
NAIVE_SHARE = 5
"""The naive twin gets a fifth of them: it promises little, and needs seconds to start."""
RECOVERY = 5.0
"""Seconds after a fault within which a new event has to go through."""
DRAIN = 60.0
"""Seconds after the last fault within which everything has to be in MySQL."""
LOOK_EVERY = 0.02
CALM = 0.2
"""Seconds at least between two faults."""


class Counts(TypedDict):
    """Of a history, and of what MySQL has of it."""

    acknowledged: int
    unknown: int
    refused: int
    lost: int
    doubled: int
    wrong: int
    wrong_rows: list[str]
    """The first few of them."""


class Campaign(Counts):
    """What came of a kind of fault, on one twin."""

    fault: str
    about: str
    twin: str
    keeps: bool
    """Whether it is promised that nothing is lost."""
    times: int
    seed: int
    longest_silence: float
    """Seconds without an acknowledgement, the fault's own duration included."""
    recovery: float
    """Seconds from the end of a fault to the next acknowledgement; the longest."""
    drain: float
    """Seconds from the last answer until MySQL had everything."""


def campaign(setup: Setup, name: str, times: int = TIMES) -> list[Campaign]:
    """Return what came of it on each twin. Raises StackError, and TrialFailed where a twin stays away."""
    fault = FAULTS[name]
    with setup.stack(pin=False, workers=fault.api_processes) as stack:
        shares = {ASYNC: times, NAIVE: max(times // NAIVE_SHARE, 1)}
        worlds = [World(stack, twin, setup.options.seed) for twin in fault.twins]
        return [_campaign(setup, world, fault, shares[world.twin]) for world in worlds]


def _campaign(setup: Setup, world: World, fault: Fault, times: int) -> Campaign:
    stack, seed = world.stack, setup.options.seed
    emptied(stack).dispose()
    with fault.around(world) if fault.around else nullcontext():
        try:
            world.start_twin()
            urls = [stack.base_url(name) for name in (world.twin, *([SECOND.name] * fault.is_of_two_nodes))]
            with load(urls, seed) as history:
                recovery = await_event(history)
                for each in range(1, times + 1):
                    setup.display.step(f"{fault.name}, {world.twin}: {each} of {times}")
                    recovery = max(recovery, _injected(world, fault, history))
            ended = time.monotonic()
            verdict = drained(stack, history, for_all=fault.keeps and world.twin == ASYNC)
        finally:
            stack.stop_twin(world.twin)
    return {
        "fault": fault.name,
        "about": fault.about,
        "twin": world.twin,
        "keeps": fault.keeps,
        "times": times,
        "seed": seed,
        **counts(history, verdict),
        "longest_silence": longest_silence(history.answers),
        "recovery": recovery,
        "drain": time.monotonic() - ended,
    }


def counts(history: History, verdict: Verdict) -> Counts:
    return {
        "acknowledged": history.totals["acknowledged"],
        "unknown": history.totals["unknown"],
        "refused": history.totals["refused"],
        "lost": verdict.lost,
        "doubled": verdict.doubled,
        "wrong": len(verdict.wrong),
        "wrong_rows": verdict.wrong[:10],
    }


def _injected(world: World, fault: Fault, history: History) -> float:
    with fault.hold(world):
        world.pause(*fault.seconds)
    recovery = await_event(history)
    world.pause(CALM, 2 * CALM)
    return recovery


def await_event(history: History) -> float:
    """Return the seconds until the next event is acknowledged. Raises TrialFailed after a while."""
    began = time.monotonic()
    while not history.acknowledged_since(began):
        if time.monotonic() - began > 6 * RECOVERY:
            raise TrialFailed(f"nothing was acknowledged for {6 * RECOVERY:.0f} s")
        time.sleep(LOOK_EVERY)
    return time.monotonic() - began


def drained(stack: Stack, history: History, for_all: bool) -> Verdict:
    """The verdict once Redis and the spool are empty; `for_all`: and once it is clean, or never will be."""
    engine, buffer, deadline = (
        make_background_engine(stack.settings),
        Buffer(stack.settings),
        time.monotonic() + DRAIN,
    )
    try:
        while True:
            is_empty = is_drained(stack, buffer)
            verdict = judge(history, recorded(engine))
            is_done = is_empty and (verdict.is_clean or not for_all)
            if is_done or time.monotonic() > deadline:
                return verdict
            time.sleep(10 * LOOK_EVERY)
    finally:
        engine.dispose()


def is_drained(stack: Stack, buffer: Buffer) -> bool:
    """Whether nothing waits, neither in Redis nor in the spool."""
    return buffer.state().is_empty and not spool.files(stack.settings.spool_folder)


def longest_silence(answers: Sequence[float]) -> float:
    return max((after - before for before, after in pairwise(answers)), default=0.0)
