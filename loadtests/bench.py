"""`python -m loadtests.bench`: load both twins in pairs, check every count, compare, and write the result.

Exit status: 0; 1 where a trial failed or the async twin lost or doubled a count; 3 where nothing valid is
left to compare; 130 after Ctrl-C, which leaves nothing behind.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console

from loadtests import environment, report
from loadtests.bootstrap import ROOT
from loadtests.display import Display, show_results
from loadtests.exporter import RUN
from loadtests.generator import TrialFailed
from loadtests.other import check_health
from loadtests.pairs import capacity, compare, control
from loadtests.plan import PAIRS, Part, parts, planned_seconds, turns
from loadtests.recorder import write_json
from loadtests.results import FILE, RESULTS, Knee, Level, Results, Trial
from loadtests.schema import check
from loadtests.stack import Stack, StackError
from loadtests.summary import COLUMNS, TWINS
from loadtests.trial import run_floor, run_other, run_trial
from shared.settings import Settings

RUN_DIR = ROOT / ".run"
OTHER = "other"
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
    try:
        write(options, results, console)
    except ValueError as error:
        print(f"bench: {error}", file=sys.stderr)
        return FAILED
    return status(results)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.bench", description="Load both twins and compare them."
    )
    parser.add_argument("--profile", choices=PAIRS, default="ramp")
    parser.add_argument("--pairs", type=pairs, help=f"trials of each twin {PAIRS}; of a full run, its ramp's")
    parser.add_argument("--seed", type=int, default=1, help="of the events, the think times and the order")
    parser.add_argument(
        "--twins", type=twins, default=list(TWINS), help="with commas; steps of the ladder, too"
    )
    parser.add_argument("--host", type=address, help="http://... of a third implementation, which must run")
    parser.add_argument("--results", type=Path, help="folder for the results of this run")
    parser.add_argument(
        "--run-dir", type=Path, default=RUN_DIR, help="folder for data and logs of the processes"
    )
    options = parser.parse_args(arguments)
    options.pairs = options.pairs or PAIRS[options.profile]
    # RESULTS.md tells of the newest run among the published ones, which is a comparison of the twins.
    published = options.profile != "smoke" and options.twins == list(TWINS)
    options.results = options.results or (RESULTS if published else options.run_dir / "results")
    return options


def twins(names: str) -> list[str]:
    chosen, known = names.split(","), [each for each in COLUMNS if each != OTHER]
    if not set(chosen) <= set(known):
        raise argparse.ArgumentTypeError(f"{names!r}: choose from {', '.join(known)}")
    return [twin for twin in known if twin in chosen]


def pairs(number: str) -> int:
    if not number.isdecimal() or int(number) == 0:
        raise argparse.ArgumentTypeError(f"{number!r} is no number of pairs")
    return int(number)


def address(url: str) -> str:
    if urlsplit(url).scheme != "http" or not urlsplit(url).hostname:
        raise argparse.ArgumentTypeError(f"{url!r} is no http:// address")
    return url.rstrip("/")


def command(options: argparse.Namespace) -> str:
    """Return what to type for the same again."""
    words = [f"make bench PROFILE={options.profile} PAIRS={options.pairs} SEED={options.seed}"]
    if options.twins != list(TWINS):
        words.append(f"TWINS={','.join(options.twins)}")
    if options.host:
        words.append(f"HOST={options.host}")
    return " ".join(words)


def measure(options: argparse.Namespace, console: Console) -> Results:
    """Run every floor and every trial. Raises StackError and TrialFailed."""
    plan = parts(options.profile, options.pairs)
    subjects = [*options.twins, *([OTHER] if options.host else [])]
    started, clock = datetime.now(UTC), time.monotonic()
    os.environ[RUN] = name = f"{started:%Y%m%dT%H%M%SZ}-{options.profile}"
    floor: list[Level] = []
    floor_knee: Knee | None = None
    trials: list[Trial] = []
    if options.host:
        check_health(options.host)
    seconds = planned_seconds(plan, len(subjects))
    with Stack(options.run_dir, Settings(), pin=True) as stack, Display(console, seconds) as display:
        leave_the_twins_alone(stack)
        display.step("starting MySQL and Redis")
        for role in ("mysql", "redis"):
            stack.start(role)
        stack.start_observers()
        described = environment.describe(stack)
        for part in plan:
            display.step(f"{part.profile}: floor, a handler that does nothing")
            levels, knee = run_floor(stack, part.profile, options.seed, display.load)
            floor, floor_knee = floor + levels, floor_knee or knee
            trials += run_part(stack, part, subjects, options, display)
    return {
        "schema": 1,
        "run": name,
        "started_at": started.isoformat(timespec="seconds"),
        "seconds": time.monotonic() - clock,
        "commit": environment.commit(),
        "seed": options.seed,
        "profile": options.profile,
        "host": options.host,
        "command": command(options),
        "environment": described,
        "trials": trials,
        "floor": floor,
        "floor_knee": floor_knee,
        "comparison": compare(trials),
        "control": control(trials),
        "capacity": capacity(trials),
    }


def run_part(
    stack: Stack, part: Part, subjects: Sequence[str], options: argparse.Namespace, display: Display
) -> list[Trial]:
    trials = []
    for turn in turns(part, subjects, options.seed):
        display.step(f"{part.profile}: pair {turn.pair} of {part.pairs}, {turn.twin}")
        if turn.twin == OTHER:
            trials.append(run_other(stack, turn, options.host, options.seed, display.load))
        else:
            trials.append(run_trial(stack, turn, options.seed, display.load))
    return trials


def leave_the_twins_alone(stack: Stack) -> None:
    """Stay on the generator's core: what shows, probes and waits must not cost a twin anything."""
    cpus = stack.generator_cpus()
    if cpus is not None:
        os.sched_setaffinity(0, cpus)


def write(options: argparse.Namespace, results: Results, console: Console) -> None:
    """Write everything that is made of the results. Raises ValueError where they have not their shape."""
    path = options.results / results["run"] / FILE
    try:
        check(results)
    except ValueError:  # too dear to be lost, but nobody takes them for results under this name
        write_json(path.with_name("rejected.json"), results)
        raise
    write_json(path, results)
    report.write_beside(path, results)
    console.print(f"Written: {os.path.relpath(path)}, and beside it a page and a CSV")
    if options.results == RESULTS:
        report.write()
        console.print(f"Written: {os.path.relpath(report.REPORT)}")


def status(results: Results) -> int:
    counts = [trial["reconcile"] for trial in results["trials"] if trial["twin"] == "async_dedup"]
    if any(count["lost"] or count["extra"] for count in counts):
        return FAILED
    alone = len({trial["twin"] for trial in results["trials"]}) == 1
    valid = any(level["valid"] for trial in results["trials"] if trial["valid"] for level in trial["levels"])
    return 0 if results["comparison"] or (alone and valid) else NOTHING_VALID


if __name__ == "__main__":
    sys.exit(main())
