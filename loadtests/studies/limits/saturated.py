"""The async twin with more load than it can take, beside the handler that does nothing."""

from typing_extensions import TypedDict

from loadtests.analysis.results import Trial, Turn
from loadtests.load.measured import Level
from loadtests.studies.study import Setup
from loadtests.trial import plan
from loadtests.trial.reconcile import Connection, connect
from loadtests.trial.trial import run_floor, run_trial

TWIN = "async_dedup"


class Saturation(TypedDict):
    """A floor's level and a trial of each pair."""

    floor: list[Level]
    trials: list[Trial]


class Minute(TypedDict):
    trial: Trial
    rows_written: float
    """To MySQL for each issue, new or changed, without the ledger's."""


def saturation(setup: Setup, profile: str = "saturated") -> Saturation:
    """Pairs of floor and twin, back to back, in drawn order."""
    found: Saturation = {"floor": [], "trials": []}
    options, display = setup.options, setup.display
    with setup.stack() as stack:
        for turn in plan.turns(plan.Part(profile, options.pairs), ("floor", TWIN), options.seed):
            display.step(f"{profile}: pair {turn.pair} of {options.pairs}, {turn.twin}")
            if turn.twin == "floor":
                found["floor"] += run_floor(stack, profile, options.seed, display.load)[0]
            else:
                found["trials"].append(run_trial(stack, turn, options.seed, display.load))
    return found


def crowd(setup: Setup) -> list[Trial]:
    """200 and 500 users who think, as many trials as there are pairs."""
    trials, number = [], setup.options.pairs
    with setup.stack() as stack:
        for each in range(1, number + 1):
            setup.display.step(f"crowd: trial {each} of {number}")
            turn = Turn("crowd", each, 1, TWIN)
            trials.append(run_trial(stack, turn, setup.options.seed, setup.display.load))
    return trials


def minute(setup: Setup, profile: str = "minute") -> Minute:
    """One trial of a minute."""
    with setup.stack() as stack, connect(stack.settings) as mysql:
        setup.display.step(profile)
        before = _rows_written(mysql)
        trial = run_trial(stack, Turn(profile, 1, 1, TWIN), setup.options.seed, setup.display.load)
        written = _rows_written(mysql) - before - _number(mysql, "SELECT COUNT(*) FROM flush_ledger")
        return {"trial": trial, "rows_written": written / _number(mysql, "SELECT COUNT(*) FROM issues")}


def _rows_written(mysql: Connection) -> int:
    """An upsert is one write of its row, whatever comes of it."""
    return _number(mysql, "SHOW GLOBAL STATUS LIKE 'Handler_write'")


def _number(mysql: Connection, statement: str) -> int:
    with mysql.cursor() as cursor:
        cursor.execute(statement)
        (row,) = cursor.fetchall()
        return int(row[-1])
