"""`python -m loadtests.demo FLAW`: one flaw of the naive twin in ten seconds, beside the async twin.

For someone who explains it, or wants to see it before a word is read. What it shows is counted, not staged:
both twins get the same requests. Figures of speed are the benchmark's.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from loadtests.load.at_once import PATIENCE, Status, by_all, each_sends, in_rounds, of_its_own
from loadtests.load.pace import PACE
from loadtests.load.subjects import ASYNC, NAIVE, TWINS
from loadtests.stack import Stack, StackError
from loadtests.stack.place import Place, place_of_learner, run_folder
from loadtests.stack.process import interrupted_by_signals
from loadtests.stack.proxy import Trouble, between
from loadtests.stack.roles import ROLES_OF
from loadtests.trial.options import MakeParser
from loadtests.trial.reconcile import final_counts
from shared.event import Event
from shared.fingerprint import fingerprint
from shared.quota import overflow
from shared.settings import load, variable

FAILED, INTERRUPTED = 1, 130
CLIENTS, MESSAGES = 16, 50
SECONDS = 3.0 * PACE
NEW_ERRORS = round(50 * PACE)
FLUSH_INTERVAL = 1.0
"""Seconds."""
SETTLE_SECONDS = 8.0
"""Without a change, after which nothing more comes: longer than the flush interval."""
SLOW = Trouble(delay=0.05)
RATE, BURST = 1.0, 20
"""What the only service may send, a second and at once."""
SERVICES, BUDGET = round(25 * PACE), 5
"""Each may create so many new issues."""


class Flaw(NamedTuple):
    number: int
    about: str
    show: Callable[[Stack, str], dict[str, str]]
    """On the stack, on that twin."""
    why: str
    settings: tuple[tuple[str, Any], ...] = ()
    slow_mysql: bool = False


def lost_update(stack: Stack, twin: str) -> dict[str, str]:
    message = "the same error, from everybody"
    answers = by_all(stack.base_url(twin), CLIENTS, SECONDS, lambda _: message)
    counts = final_counts(stack.settings, twin, answers.statuses[200], SETTLE_SECONDS)
    recorded = counts[fingerprint(message)]
    return {
        "answered 200": f"{answers.statuses[200]:,}",
        "recorded": f"{recorded:,}",
        "lost": f"{answers.statuses[200] - recorded:,}",
    }


def duplicate_key(stack: Stack, twin: str) -> dict[str, str]:
    """Every client sends the same new errors in the same order, and waits for the others before each."""
    errors = [Event(message=f"new error {number}") for number in range(NEW_ERRORS)]
    statuses = _at_the_same_moments(stack.base_url(twin), lambda _: errors)
    return {"answered 200": f"{statuses[200]:,}", "answered 500": f"{statuses[500]:,}"}


def pool_exhaustion(stack: Stack, twin: str) -> dict[str, str]:
    answers = by_all(
        stack.base_url(twin), CLIENTS, SECONDS, lambda number: of_its_own("pool", number, MESSAGES)
    )
    return {
        "answered 200": f"{answers.statuses[200]:,}",
        "answered 503": f"{answers.statuses[503]:,}",
        "p95": f"{answers.p95:,.0f} ms",
    }


def hot_path(stack: Stack, twin: str) -> dict[str, str]:
    answers = by_all(
        stack.base_url(twin),
        CLIENTS,
        SECONDS,
        lambda number: of_its_own("hot path", number, MESSAGES),
    )
    return {"answered 200": f"{answers.statuses[200]:,}", "p95": f"{answers.p95:,.0f} ms"}


def doubled_limit(stack: Stack, twin: str) -> dict[str, str]:
    statuses, seconds = in_rounds(
        stack.base_url(twin), CLIENTS, SECONDS, lambda number: of_its_own("limit", number, MESSAGES)
    )
    may = BURST + int(RATE * seconds)
    return {
        "answered 200": f"{statuses[200]:,}",
        "answered 429": f"{statuses[429]:,}",
        "may be": f"{may:,}",
        "too many": f"{max(statuses[200] - may, 0):,}",
    }


def oversold_budget(stack: Stack, twin: str) -> dict[str, str]:
    """Every event would be a new issue."""
    services = [f"shop {number}" for number in range(SERVICES)]
    statuses = _at_the_same_moments(
        stack.base_url(twin),
        lambda client: [Event(message=f"error of client {client}", service=each) for each in services],
    )
    counts = final_counts(stack.settings, twin, statuses[200], SETTLE_SECONDS)
    overflows = {overflow(service).fingerprint for service in services}
    new = len(counts.keys() - overflows)
    may = SERVICES * BUDGET
    return {
        "answered 200": f"{statuses[200]:,}",
        "answered 500": f"{statuses[500]:,}",
        "too late: folded, a row for each service": f"{sum(counts[each] for each in overflows):,}",
        "new issues": f"{new:,}",
        "may be": f"{may:,}",
        "too many": f"{max(new - may, 0):,}",
    }


def _at_the_same_moments(url: str, events: Callable[[int], Iterable[Event]]) -> Counter[Status]:
    """Each client sends its own one by one; before each all wait for all."""
    together = Barrier(CLIENTS, timeout=2 * PATIENCE)  # more than the slowest client's answer may take

    def in_step(client: int) -> Iterator[Event]:
        for event in events(client):
            together.wait()
            yield event

    return each_sends(url, CLIENTS, in_step)


FLAWS = {
    "lost-update": Flaw(
        1,
        f"{CLIENTS} clients report one error again and again",
        lost_update,
        "Two requests read the same count, each adds one, each writes it back: one of the two is gone.",
    ),
    "duplicate-key": Flaw(
        2,
        f"{CLIENTS} clients report each new error at the same time",
        duplicate_key,
        "Each looks for the row, none finds it, all insert it: the unique key lets one through.",
    ),
    "pool-exhaustion": Flaw(
        3,
        f"{CLIENTS} clients, a pool of 2 connections, MySQL 50 ms away",
        pool_exhaustion,
        "A request holds a connection for all its statements. The others wait for one, then give up.",
        (("pool_size", 2), ("pool_timeout", 0.5)),
        slow_mysql=True,
    ),
    "hot-path": Flaw(
        4,
        f"{CLIENTS} clients, MySQL 50 ms away",
        hot_path,
        "The client waits for every statement, and each crosses the way to MySQL and back.",
        slow_mysql=True,
    ),
    "doubled-limit": Flaw(
        5,
        f"{CLIENTS} clients of one service that may send {BURST} events at once and {RATE:g} a second, "
        "to two processes",
        doubled_limit,
        "Each process knows only what it has let through itself, and lets through all that there may be.",
        (("workers", 2), ("rate_limit", RATE), ("rate_burst", BURST)),
    ),
    "oversold-budget": Flaw(
        6,
        f"{CLIENTS} clients report a new error each at the same moment, of a service that may create "
        f"{BUDGET} new issues; {SERVICES} services, one after the other",
        oversold_budget,
        "Several count the issues, find room for one more, and each adds its own.",
        (("new_issues", BUDGET),),
    ),
}


def demonstrate(name: str, place: Place, console: Console) -> dict[str, dict[str, str]]:
    """Return what was counted, by twin and line. Raises StackError."""
    flaw = FLAWS[name]
    console.print(f"[bold]Flaw {flaw.number}, {name}[/]: {flaw.about}")
    settings = load(flush_interval=FLUSH_INTERVAL, **place.ports, **dict(flaw.settings))
    with Stack(place.run_dir, settings) as stack:
        console.print("starting MySQL, Redis and both twins")
        stack.start("mysql", "redis")
        with _way_to_mysql(stack, flaw.slow_mysql) as environment:
            found: dict[str, dict[str, str]] = {}
            for twin in TWINS:
                stack.reset()
                roles = ROLES_OF[twin]
                stack.start(*roles, more=dict.fromkeys(roles, environment))
                console.print(f"load on {twin}")
                found[twin] = flaw.show(stack, twin)
                stack.stop_twin(twin)
    table = Table("", *TWINS)
    for line in found[NAIVE]:
        table.add_row(line, found[NAIVE][line], found[ASYNC][line])
    console.print(table)
    console.print(f"{flaw.why} It is flaw {flaw.number} in naive_sync/ingest.py.")
    return found


@contextmanager
def _way_to_mysql(stack: Stack, is_slow: bool) -> Iterator[dict[str, str]]:
    """The environment with which a twin finds it."""
    if not is_slow:
        yield {}
        return
    with between(stack.settings.mysql_port, SLOW) as port:
        yield {variable("mysql_port"): str(port)}


def main(arguments: list[str] | None = None) -> int:
    parser: argparse.ArgumentParser = MakeParser(prog="demo")
    parser.add_argument("--flaw", required=True, choices=FLAWS, help="which one")
    parser.add_argument("--run-dir", type=Path, default=run_folder(), help="folder for data and logs")
    options = parser.parse_args(arguments)
    console = Console(highlight=False)
    try:
        with interrupted_by_signals(), place_of_learner(options.run_dir) as place:
            demonstrate(options.flaw, place, console)
    except (StackError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
