"""What a lab may have measured, on a machine like this one and on a slower one, in the lab's own form."""

from collections.abc import Callable
from typing import Any

from loadtests.labs import freshness, lies, noisy, one_request
from loadtests.labs.trace import Step, Trace
from loadtests.load.subjects import ASYNC, NAIVE

Found = Callable[[float], Any]
"""With how many times as long as here everything takes that a computer does; what is waited for on purpose
does not depend on it."""
NAIVE_STEPS = ((0.9, "SELECT issues.id"), (2.1, "UPDATE issues"), (3.0, "COMMIT"), (5.6, "ROLLBACK"))


def lab_1(slow: float, away: float = 0.0) -> one_request.Found:
    naive: list[Step] = [
        {"at": slow * at + number * away, "who": "MySQL", "what": what}
        for number, (at, what) in enumerate(NAIVE_STEPS)
    ]
    near: dict[str, Trace] = {
        NAIVE: {"steps": naive, "answered": 6.4 * slow + len(naive) * away},
        ASYNC: {"steps": [{"at": 0.5 * slow, "who": "Redis", "what": "EVALSHA"}], "answered": 1.5 * slow},
    }
    far = {NAIVE: near[NAIVE]["answered"] + 4 * one_request.FARTHER + slow, ASYNC: 1.6 * slow}
    return {"near": near, "far": far}


def lab_2(slow: float) -> Any:
    moves = [
        {"who": who, "what": what, "sees": sees}
        for what, sees in (("SELECT times_seen", 7), ("UPDATE times_seen; COMMIT", 8))
        for who in "AB"
    ]
    counted = {"acknowledged": round(1_430 / slow), "recorded": round(610 / slow)}
    new = {"new_acknowledged": 210, "new_recorded": 210}
    refused = {"errors": round(25 / slow), "refused": round(25 / slow), "new_refused": 9, "unended": 0}
    return {"moves": moves, "start": 7, "end": 8, **counted, "rate": 470 / slow, **new, **refused}


def lab_3(slow: float) -> Any:
    rates = {1: 29, 2: 57, 4: 112, 8: 214, 16: 330, 32: 338}
    return [
        {"size": size, "rate": rate / slow, "p95": 52_000 * slow / rate, "refused": 0}
        for size, rate in rates.items()
    ]


def lab_4(slow: float) -> Any:
    def point(milliseconds: float, late: float) -> dict[str, float]:
        rate = 8_000 / milliseconds
        return {
            **{"rate": rate, "waited": milliseconds, "p95": 1.3 * milliseconds, "late": late},
            **{"acknowledged": round(4 * rate), "recorded": round(4 * rate)},
        }

    return {
        "away": 100.0,
        "near": {NAIVE: point(19 * slow, 0.0), ASYNC: point(6 * slow, 1.2)},
        "far": {NAIVE: point(400 + 19 * slow, 0.0), ASYNC: point(6 * slow, 2.6)},
    }


def lab_5(slow: float, freeze: float = lies.FREEZE) -> lies.Found:
    service, begin = 0.002 * slow, lies.SECONDS / 3
    end = begin + freeze

    def answered(at: float) -> float:
        return (end if begin <= at < end else at) + service

    closed: lies.Sent = {"at": [], "took": [], "stopped": [begin, end]}
    for user in range(lies.USERS):
        at = lies.THINK * user / lies.USERS
        while at < lies.SECONDS:
            closed["at"].append(at)
            closed["took"].append(1_000 * (answered(at) - at))
            at = answered(at) + lies.THINK
    due = [number / lies.RATE for number in range(round(lies.RATE * lies.SECONDS))]
    open_: lies.Sent = {
        "at": due,
        "took": [1_000 * (answered(at) - at) for at in due],
        "stopped": [begin, end],
    }
    full: lies.Sent = {
        "at": due,
        "took": [1_000 * service] * (len(due) - 2) + [1_000 * freeze] * 2,
        "stopped": [begin, end],
    }
    return {"freeze": freeze, "closed": closed, "open": open_, "full": full}


def lab_6(slow: float, interval: float = freshness.INTERVAL) -> freshness.Found:
    """Where a client waits for long it reports less often than it should; and a flush takes its time."""
    rate = freshness.RATE / slow
    looks: list[freshness.Look] = []
    for number in range(round(freshness.INTERVALS * interval / freshness.LOOK_EVERY)):
        at = interval + number * freshness.LOOK_EVERY
        flushed = (at - 0.02) // interval * interval
        looks.append({"at": at, "acknowledged": round(rate * at), "recorded": round(rate * flushed)})
    return {
        "interval": interval,
        "looks": looks,
        "flushes": freshness.INTERVALS,
        "flush": 9.0 * slow,
        "wait": 4.0 * slow,
    }


def lab_7(slow: float, part: str = "redis", state: str = "direct") -> Any:
    acknowledged = round(7_800 / slow)
    outcomes = {
        NAIVE: {"acknowledged": 2_100, "failed": 0, "recorded": 2_100, "state": None},
        ASYNC: {"acknowledged": acknowledged, "failed": 9, "recorded": acknowledged + 4, "state": state},
    }
    return {"part": part, "outcomes": outcomes}


def lab_8(slow: float, processes: int = 2) -> Any:
    """Each round ends with the answer that comes last; the naive twin's come later."""

    def may(seconds: float) -> dict[str, float]:
        return {"seconds": seconds, "may": noisy.BURST + noisy.RATE * seconds}

    naive = {
        **{"passed": round(processes * 95 / slow), "refused": 900, "quiet_refused": 0},
        **{"sold": 117, "folded": 150, "bids_failed": 4},
        **may(4 + 0.3 * slow),
    }
    async_ = naive | may(4 + 0.11 * slow) | {"passed": 101, "refused": 5_000, "sold": 100, "folded": 216}
    return {"processes": processes, "outcomes": {NAIVE: naive, ASYNC: async_}}


def lab_10(slow: float) -> Any:
    return {"rates": {NAIVE: 390 / slow, ASYNC: 1_310 / slow}}


FOUND: dict[int, Found] = {
    **{1: lab_1, 2: lab_2, 3: lab_3, 4: lab_4, 5: lab_5, 6: lab_6, 7: lab_7},
    **{8: lab_8, 10: lab_10},
}
