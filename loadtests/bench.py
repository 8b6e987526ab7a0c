"""`python -m loadtests.bench`: load both twins in pairs, check every count, compare, and write the result.

Exit status: 0; 1 where a trial failed or the async twin lost or doubled a count; 3 where nothing valid is
left to compare; 130 after Ctrl-C, which leaves nothing behind.
"""

import argparse
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from loadtests import environment, report
from loadtests.bootstrap import ROOT
from loadtests.display import Display, show_results
from loadtests.generator import Load, TrialFailed
from loadtests.pairs import capacity, compare, control
from loadtests.profiles import PROFILES
from loadtests.recorder import write_json
from loadtests.results import FILE, RESULTS, Results, Trial, Turn
from loadtests.stack import Stack, StackError
from loadtests.summary import TWINS
from loadtests.trial import run_floor, run_trial
from loadtests.workload import stream
from shared.settings import Settings

RUN_DIR = ROOT / ".run"
OVERHEAD = 8.0
"""Seconds that a trial takes besides its load, as a first guess of the time left."""
FAILED, NOTHING_VALID, INTERRUPTED = 1, 3, 130


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    console = Console(highlight=False)
    try:
        results = measure(options, console)
    except (StackError, TrialFailed) as error:
        print(f"bench: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("bench: interrupted; nothing was written", file=sys.stderr)
        return INTERRUPTED
    show_results(console, results)
    write(options, results, console)
    return status(results)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.bench", description="Load both twins and compare them."
    )
    parser.add_argument("--profile", choices=PROFILES, default="ramp")
    parser.add_argument("--pairs", type=int, default=None, help="trials of each twin (3; smoke: 1)")
    parser.add_argument("--seed", type=int, default=1, help="of the events, the think times and the order")
    parser.add_argument("--results", type=Path, default=None, help="folder for the results of this run")
    parser.add_argument(
        "--run-dir", type=Path, default=RUN_DIR, help="folder for data and logs of the processes"
    )
    options = parser.parse_args(arguments)
    demo = options.profile == "smoke"
    options.pairs = options.pairs or (1 if demo else 3)
    # RESULTS.md tells of the newest run among the published ones, which a smoke test must never be.
    options.results = options.results or (options.run_dir / "results" if demo else RESULTS)
    return options


def measure(options: argparse.Namespace, console: Console) -> Results:
    """Run the floor and every trial. Raises StackError and TrialFailed."""
    load = Load(PROFILES[options.profile], options.seed)
    started, clock = datetime.now(UTC), time.monotonic()
    planned = (1 + 2 * options.pairs) * (load.profile.seconds + OVERHEAD)
    with Stack(options.run_dir, Settings(), pin=True) as stack, Display(console, planned) as display:
        leave_the_twins_alone(stack)
        display.step("starting MySQL and Redis")
        for role in ("mysql", "redis"):
            stack.start(role)
        stack.start_observers()
        described = environment.describe(stack)
        display.step("floor: a handler that does nothing")
        floor = run_floor(stack, load, display.load)
        trials = run_pairs(stack, load, options.pairs, display)
    return {
        "schema": 1,
        "run": f"{started:%Y%m%dT%H%M%SZ}-{options.profile}",
        "started_at": started.isoformat(timespec="seconds"),
        "seconds": time.monotonic() - clock,
        "commit": environment.commit(),
        "seed": options.seed,
        "profile": options.profile,
        "command": f"make bench PROFILE={options.profile} PAIRS={options.pairs} SEED={options.seed}",
        "environment": described,
        "trials": trials,
        "floor": floor,
        "comparison": compare(trials),
        "control": control(trials),
        "capacity": capacity(trials),
    }


def run_pairs(stack: Stack, load: Load, pairs: int, display: Display) -> list[Trial]:
    """Run one trial of each twin per pair, back to back: what drifts slowly then hits both alike."""
    trials = []
    for pair, twins in enumerate(orders(load.seed, pairs), 1):
        for order, twin in enumerate(twins, 1):
            display.step(f"pair {pair} of {pairs}, {twin}")
            trials.append(run_trial(stack, Turn(pair, order, twin), load, display.load))
    return trials


def orders(seed: int, pairs: int) -> list[list[str]]:
    """Return which twin goes first in each pair, drawn by the seed."""
    random = stream(seed, "order")
    return [random.sample(TWINS, len(TWINS)) for _ in range(pairs)]


def leave_the_twins_alone(stack: Stack) -> None:
    """Stay on the generator's core: what shows, probes and waits must not cost a twin anything."""
    cpus = stack.generator_cpus()
    if cpus is not None:
        os.sched_setaffinity(0, cpus)


def write(options: argparse.Namespace, results: Results, console: Console) -> None:
    path = options.results / results["run"] / FILE
    write_json(path, results)
    console.print(f"Written: {os.path.relpath(path)}")
    if options.results == RESULTS:
        report.write()
        console.print(f"Written: {os.path.relpath(report.REPORT)}")


def status(results: Results) -> int:
    counts = [trial["reconcile"] for trial in results["trials"] if trial["twin"] == "async_dedup"]
    if any(count["lost"] or count["extra"] for count in counts):
        return FAILED
    return 0 if results["comparison"] else NOTHING_VALID


if __name__ == "__main__":
    sys.exit(main())
