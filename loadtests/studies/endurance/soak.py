"""Half an hour under load with a fault each 20 seconds: nothing may grow, and nothing be lost."""

import time

from async_dedup.buffer import Buffer
from loadtests.load.subjects import ASYNC
from loadtests.studies.endurance.watch import Held, look
from loadtests.studies.faults.campaign import Counts, await_event, counts, drained
from loadtests.studies.faults.history import load
from loadtests.studies.faults.kinds import FAULTS, why_not_here
from loadtests.studies.faults.world import World
from loadtests.studies.study import Setup, emptied

SECONDS = 30 * 60
EVERY = 20.0
"""Seconds from the begin of a fault to that of the next."""


class Soak(Counts):
    seconds: float
    faults: dict[str, int]
    """How often each kind came."""
    recovery: float
    """Seconds from the end of a fault to the next acknowledgement; the longest."""
    held: list[tuple[float, Held]]
    """Before each fault, with the seconds since the start; the last after the drain."""


def soak(setup: Setup, seconds: float = SECONDS) -> Soak:
    """Raises StackError, and TrialFailed where the twin does not come back."""
    kinds = [each for each in FAULTS.values() if each.keeps and each.is_plain and not why_not_here(each)]
    with setup.stack(pin=False) as stack:
        world, buffer = World(stack, ASYNC, setup.options.seed), Buffer(stack.settings)
        emptied(stack).dispose()
        world.start_twin()
        held: list[tuple[float, Held]] = []
        came: dict[str, int] = {}
        recovery, began = 0.0, time.monotonic()
        with load(stack.base_url(ASYNC), setup.options.seed) as history:
            await_event(history)
            while (now := time.monotonic() - began) < seconds:
                held.append((now, look(stack, buffer)))
                fault = world.random.choice(kinds)
                came[fault.name] = came.get(fault.name, 0) + 1
                setup.display.step(f"soak: {now:.0f} of {seconds:.0f} s, {fault.name}")
                with fault.hold(world):
                    world.pause(*fault.seconds)
                recovery = max(recovery, await_event(history))
                time.sleep(max(0.0, began + now + EVERY - time.monotonic()))
        verdict = drained(stack, history, for_all=True)
        held.append((time.monotonic() - began, look(stack, buffer)))
        stack.stop_twin(ASYNC)
    return {
        "seconds": seconds,
        "faults": came,
        **counts(history, verdict),
        "recovery": recovery,
        "held": held,
    }
