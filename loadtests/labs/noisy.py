"""Lab 8: one service sends far more than it may, and one sells a hundred tickets to many buyers."""

import time
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console
from rich.table import Table
from typing_extensions import TypedDict

from loadtests.labs.lab import Bench, Knob, Lab, Measured, Mistake, Question
from loadtests.load.at_once import ROUNDS, by_all, each_sends, in_rounds, of_its_own
from loadtests.load.pace import PACE
from loadtests.load.subjects import ASYNC, NAIVE, TWINS
from loadtests.stack import Stack
from loadtests.trial.reconcile import final_counts
from shared.event import Event
from shared.quota import overflow

NOISY, QUIET, TICKETS = "noisy", "quiet", "tickets"
RATE, BURST, BUDGET = 20.0, 20, 100
"""Events a second of each service but the tickets'; at once; new issues of the tickets'."""
NOISY_CLIENTS, QUIET_CLIENTS, BUYERS = 16, 2, 40
MESSAGES = 50
SECONDS = 4.0 * PACE
PAUSE = 0.2
"""Seconds between two events of a quiet client."""
BIDS = 8
"""Of each buyer."""
SETTLE_SECONDS = 20.0
QUOTAS = {
    "rate_limit": RATE,
    "rate_burst": BURST,
    "services": {TICKETS: {"rate_limit": 0.0, "new_issues": BUDGET}},
}


class Outcome(TypedDict):
    passed: int
    """Events of the noisy service that were answered 200; the others were answered 429."""
    refused: int
    quiet_refused: int
    """Events of the quiet service that were answered 429."""
    seconds: float
    """That the noisy clients took."""
    may: float
    """Events that the noisy service may send in that time."""
    sold: int
    """New issues of the tickets' service."""
    folded: int
    """Events on its overflow issue, as it counts them."""
    bids_failed: int
    """That were not answered 200."""


class Found(TypedDict):
    processes: int
    outcomes: dict[str, Outcome]


def measure(bench: Bench, processes: float) -> Found:
    with bench.stack(workers=round(processes), **QUOTAS) as stack:
        return {
            "processes": round(processes),
            "outcomes": {twin: _outcome(bench, stack, twin) for twin in TWINS},
        }


def _outcome(bench: Bench, stack: Stack, twin: str) -> Outcome:
    bench.step(f"{twin}: {NOISY_CLIENTS} noisy clients and {QUIET_CLIENTS} quiet ones for {SECONDS:g} s")
    stack.reset()
    stack.start_twin(twin)
    url = stack.base_url(twin)

    def calmly(_: int) -> str:
        time.sleep(PAUSE)
        return "all is well"

    with ThreadPoolExecutor(1) as pool:
        noisy = pool.submit(
            in_rounds,
            url,
            NOISY_CLIENTS,
            SECONDS,
            lambda number: of_its_own("noise", number, MESSAGES),
            NOISY,
        )
        quiet = by_all(url, QUIET_CLIENTS, SECONDS, calmly, QUIET)
        statuses, seconds = noisy.result()
    bench.step(f"{twin}: {BUYERS} buyers, each asks {BIDS} times for one of {BUDGET} tickets")
    answers = each_sends(url, BUYERS, _bids)
    taken = statuses[200] + quiet.statuses[200] + answers[200]
    counts = final_counts(stack.settings, twin, taken, SETTLE_SECONDS)
    stack.stop_twin(twin)
    return {
        "passed": statuses[200],
        "refused": statuses[429],
        "quiet_refused": quiet.statuses[429],
        "seconds": seconds,
        "may": BURST + RATE * seconds,
        "sold": sum(bid.fingerprint in counts for buyer in range(BUYERS) for bid in _bids(buyer)),
        "folded": counts[overflow(TICKETS).fingerprint],
        "bids_failed": BUYERS * BIDS - answers[200],
    }


def _bids(buyer: int) -> list[Event]:
    return [Event(message=f"buyer {buyer}, bid {bid}", service=TICKETS) for bid in range(BIDS)]


def passed(measured: Measured, twin: str) -> float:
    return float(measured["outcomes"][twin]["passed"])


def forgotten_burst(measured: Measured) -> float:
    """What would be right if nothing could be sent at once."""
    return RATE * float(measured["outcomes"][ASYNC]["seconds"])


def _burst(measured: Measured) -> str:
    seconds = measured["outcomes"][ASYNC]["seconds"]
    return f"{RATE:g} a second for {seconds:.1f} s is that; and the burst?"


def _allowed(measured: Measured) -> str:
    """With the seconds as they are shown, so that the arithmetic is right to the last digit."""
    seconds = f"{measured['outcomes'][ASYNC]['seconds']:.1f}"
    return f"{BURST} + {RATE:g} x {seconds} s is {BURST + RATE * float(seconds):,.0f}."


def oversold(measured: Measured) -> float:
    return float(measured["outcomes"][NAIVE]["sold"] - BUDGET)


def uncounted(outcome: Outcome) -> int:
    """Bids that were answered 200, and are neither a ticket nor counted on the row of those too late."""
    return max(BUYERS * BIDS - outcome["sold"] - outcome["folded"] - outcome["bids_failed"], 0)


def show(console: Console, measured: Measured) -> None:
    table = Table(title=f"{measured['processes']} processes of each twin")
    for head in ("", *TWINS):
        table.add_column(head, justify="right" if head else "left")
    outcomes = [measured["outcomes"][twin] for twin in TWINS]
    rows = (
        ("noisy: let through", "passed", 0),
        ("noisy: answered 429", "refused", 0),
        ("noisy: seconds that they took", "seconds", 1),
        ("quiet: answered 429", "quiet_refused", 0),
        (f"tickets sold, of {BUDGET}", "sold", 0),
        ("bids too late: counted on one row (folded)", "folded", 0),
        ("bids that failed (500)", "bids_failed", 0),
    )
    for head, key, digits in rows:
        table.add_row(head, *(f"{each[key]:,.{digits}f}" for each in outcomes))
    table.add_row("bids answered, and in no count", *(f"{uncounted(each):,}" for each in outcomes))
    console.print(table)


def explain(measured: Measured) -> str:
    naive, async_ = (measured["outcomes"][twin] for twin in (NAIVE, ASYNC))
    return (
        f"A service may send {BURST} events at once and {RATE:g} a second. The async twin let "
        f"{async_['passed']:,} through in {async_['seconds']:.1f} s: one script in Redis decides for all its "
        f"processes, in the call that counts. {_of_naive(measured)}\n"
        f"Of {BUDGET} tickets the naive twin sold {naive['sold']:,}: several buyers count what is sold, all "
        "see room for one more, and each gets it. The async twin gives places out in the script as well, one "
        f"after the other: {async_['sold']:,}. Whoever comes too late is counted, too, on one row for all; "
        f"the naive twin loses updates of that row, as it does of any other: {uncounted(naive):,}."
    )


def _of_naive(measured: Measured) -> str:
    naive, processes = measured["outcomes"][NAIVE], measured["processes"]
    if naive["passed"] > 1.1 * naive["may"]:
        return (
            f"Each of the naive twin's {processes} processes has a limiter of its own, and lets through up "
            f"to what there may be of all: {naive['passed']:,} together. Nothing says so, in no log. (The "
            f"clients connect anew {ROUNDS} times; a process that gets no connection then lets nothing "
            "through until the next time.)"
        )
    if processes == 1:
        return f"The naive twin has one process, and so one limiter: {naive['passed']:,}."
    return (
        f"Each of the naive twin's {processes} processes has a limiter of its own, and could let through "
        "what there may be of all; this time they had not so much to do, or no time for it: "
        f"{naive['passed']:,}. Turn the knob, or try again when the machine is less busy."
    )


LAB = Lab(
    number=8,
    title="The noisy neighbour and the tickets",
    minutes=12,
    idea=(
        f"Each service may send {BURST} events at once and {RATE:g} a second. {NOISY_CLIENTS} clients of "
        f"one send without a pause, {QUIET_CLIENTS} of another now and then. Both twins have two processes. "
        f"Then {BUYERS} buyers ask {BIDS} times each for one of {BUDGET} tickets: each event is a new issue, "
        f"and the service may create {BUDGET}."
    ),
    predict=Question(
        f"In {SECONDS:g} s: how many events of the noisy service does the naive twin let through?",
        lambda found: passed(found, NAIVE),
        within=0.2,
        unit="events",
    ),
    knob=Knob("processes of each twin", 2, 1, 4, is_whole=True),
    measure=measure,
    show=show,
    explain=explain,
    checks=(
        Question(
            f"By the limit, and the seconds in the column of {ASYNC}: how many events of the noisy service "
            "may pass there?",
            lambda found: float(found["outcomes"][ASYNC]["may"]),
            within=0.05,
            unit="events",
            mistakes=(
                Mistake(
                    lambda answer, found: abs(answer - forgotten_burst(found)) <= 0.05 * answer,
                    _burst,
                ),
                Mistake(
                    lambda answer, found: answer == passed(found, NAIVE) and found["processes"] > 1,
                    "That is what the naive twin let through. It did not ask its other process.",
                ),
                Mistake(
                    lambda answer, found: (
                        found["processes"] > 1
                        and abs(answer / found["processes"] - found["outcomes"][ASYNC]["may"])
                        <= 0.05 * found["outcomes"][ASYNC]["may"]
                    ),
                    "That is what a limiter in each process lets through. How much may it be of all?",
                ),
            ),
            hints=("burst + rate x seconds: the burst is there once, the rate all the time.",),
            solution=_allowed,
        ),
        Question(
            f"How many tickets too many did the naive twin sell, of {BUDGET}?",
            oversold,
            within=0.0,
            unit="tickets",
            mistakes=(
                Mistake(
                    lambda answer, found: answer == found["outcomes"][NAIVE]["sold"],
                    "That is what it sold in all.",
                ),
                Mistake(
                    lambda answer, found: answer == 0 and oversold(found) > 0,
                    "That is the async twin.",
                ),
            ),
            hints=(
                "The line of the tickets says how many were sold.",
                f"It may be {BUDGET}: how many more are there in the column of {NAIVE}?",
            ),
            solution=lambda found: (
                f"{found['outcomes'][NAIVE]['sold']:,} were sold, and {BUDGET} may be: "
                f"{oversold(found):,.0f} too many."
            ),
        ),
        Question(
            "How many events of the quiet service did the async twin refuse?",
            lambda found: float(found["outcomes"][ASYNC]["quiet_refused"]),
            within=0.0,
            unit="events",
            mistakes=(
                Mistake(
                    lambda answer, found: answer == found["outcomes"][ASYNC]["refused"] and answer > 0,
                    "Those are the noisy service's.",
                ),
            ),
            hints=(
                "Refused is answered 429. There is a line of it for each of the two services.",
                "What one service sends is no other's business: each has a limit of its own.",
            ),
            solution=lambda found: (
                f'{found["outcomes"][ASYNC]["quiet_refused"]}: the line "quiet: answered 429".'
            ),
        ),
    ),
    passed=(
        "A limit is as good as the place where it is counted: one place for all processes. To ask and then "
        "to act is two steps, and somebody else comes between them; to take a place is one."
    ),
)
