"""`python -m loadtests.bench`: load both twins in pairs, check every count, compare, and write the result.

Exit status: 0; 1 where a trial failed or the async twin lost or doubled a count; 3 where nothing valid is
left to compare, but for a smoke run, which is about the counts; 130 after Ctrl-C before the last trial has
ended, which leaves no process behind, and the finished trials in the run folder.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console

from loadtests import report
from loadtests.analysis.results import FILE, RESULTS, Results
from loadtests.analysis.schema import check
from loadtests.bootstrap import ROOT
from loadtests.live.terminal import Display
from loadtests.load.files import write_json
from loadtests.load.progress import result_line
from loadtests.load.subjects import OTHER, SUBJECTS, TWINS, in_order
from loadtests.report.terminal import show_results
from loadtests.report.verdict import verdict
from loadtests.stack import StackError
from loadtests.stack.process import interrupted_by_signals
from loadtests.trial.generator import TrialFailed
from loadtests.trial.measurement import Measurement
from loadtests.trial.options import MakeParser
from loadtests.trial.plan import PAIRS
from shared.settings import load

RUN_DIR = ROOT / ".run"
FAILED, NOTHING_VALID, INTERRUPTED = 1, 3, 130


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    load()
    try:
        with interrupted_by_signals():
            return bench(options, Console(highlight=False))
    except KeyboardInterrupt:  # a second one, while what is there is written
        return INTERRUPTED


def bench(options: argparse.Namespace, console: Console) -> int:
    """Measure, and write what was measured, however that ended; while it runs, after each trial."""
    measurement, status_so_far, why = Measurement(options, command(options)), 0, ""
    path = unfinished(options, measurement.name)
    try:
        display = Display(console, measurement.planned_seconds)
        measurement.run(
            display,
            keep=lambda: write_json(path, measurement.results()),
            end=lambda: ended(options, measurement.results()),
        )
    except (StackError, TrialFailed) as error:
        status_so_far, why = FAILED, str(error)
    except KeyboardInterrupt:
        status_so_far, why = INTERRUPTED, "interrupted"
    if why:
        print(f"bench: {why}", file=sys.stderr)
    if not measurement.trials:
        print("bench: no trial was finished; nothing was written", file=sys.stderr)
        return status_so_far or FAILED
    results = measurement.results(why or "not begun")
    show_results(console, results)
    try:
        write(options, results, console)
    except ValueError as error:
        print(f"bench: {error}", file=sys.stderr)
        return FAILED
    return status_so_far or status(results)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = MakeParser(prog="bench", description="Load both twins and compare them.")
    parser.add_argument("--profile", choices=PAIRS, default="ramp", help="what is sent (ramp)")
    parser.add_argument("--pairs", type=pairs, help=f"trials of each twin {PAIRS}; of a full run, its ramp's")
    parser.add_argument("--seed", type=int, default=1, help="of the events, the think times and the order")
    parser.add_argument(
        "--twins", type=twins, default=list(TWINS), help="with commas; rungs of the ladder, too"
    )
    parser.add_argument("--host", type=address, help="http://... of a third implementation, which must run")
    parser.add_argument(
        "--running", action="store_true", help="load the twins that run already, at the ports of the settings"
    )
    parser.add_argument("--results", type=folder, help="folder for the results of this run")
    parser.add_argument(
        "--run-dir", type=folder, default=RUN_DIR, help="folder for data and logs of the processes"
    )
    options = parser.parse_args(arguments)
    if options.running and (options.host or not set(options.twins) <= set(TWINS)):
        parser.error("--running is about the twins alone")
    options.pairs = options.pairs or PAIRS[options.profile]
    # RESULTS.md tells of the newest run among the published ones, which is a comparison of the twins.
    published = options.profile != "smoke" and options.twins == list(TWINS) and not options.running
    options.results = options.results or (RESULTS if published else options.run_dir / "results")
    return options


def twins(names: str) -> list[str]:
    chosen, known = names.split(","), [each for each in SUBJECTS if each != OTHER]
    if not set(chosen) <= set(known):
        raise argparse.ArgumentTypeError(f"{names!r}: choose from {', '.join(known)}")
    return in_order(chosen)


def pairs(number: str) -> int:
    if not number.isdecimal() or int(number) == 0:
        raise argparse.ArgumentTypeError(f"{number!r} is no number of pairs")
    return int(number)


def folder(path: str) -> Path:
    return Path(path).resolve()


def address(url: str) -> str:
    if urlsplit(url).scheme != "http" or not urlsplit(url).hostname:
        raise argparse.ArgumentTypeError(f"{url!r} is no http:// address")
    return url.rstrip("/")


def command(options: argparse.Namespace) -> str:
    """Return what to type for the same again."""
    target = "compose-bench" if options.running else "bench"
    words = [f"make {target} PROFILE={options.profile} PAIRS={options.pairs} SEED={options.seed}"]
    if options.twins != list(TWINS):
        words.append(f"TWINS={','.join(options.twins)}")
    if options.host:
        words.append(f"HOST={options.host}")
    return " ".join(words)


def unfinished(options: argparse.Namespace, run: str) -> Path:
    """Return the file of a run as long as trials of it are missing; it is never published."""
    return Path(options.run_dir / "results" / run / FILE)


def destination(options: argparse.Namespace, results: Results) -> Path:
    """Return the file of the results: of a run that misses trials, beside those of other unfinished ones."""
    if results.get("missing"):
        return unfinished(options, results["run"])
    return Path(options.results / results["run"] / FILE)


def ended(options: argparse.Namespace, results: Results) -> dict[str, str]:
    """Return how the run ended, for the live page."""
    return result_line(verdict(results), destination(options, results).with_name(report.page.FILE))


def write(options: argparse.Namespace, results: Results, console: Console) -> None:
    """Write everything that is made of the results. Raises ValueError where they have not their shape."""
    draft, path = unfinished(options, results["run"]), destination(options, results)
    try:
        check(results)
    except ValueError:  # too dear to be lost, but nobody takes them for results under this name
        write_json(path.with_name("rejected.json"), results)
        raise
    write_json(path, results)
    report.write_beside(path, results)
    console.print(f"Written: {os.path.relpath(path)}, and beside it a page and a CSV", soft_wrap=True)
    if path != draft:
        shutil.rmtree(draft.parent, ignore_errors=True)
    if path.parent.parent == RESULTS:
        report.write()
        report.write_readme()  # both tell of one run
        console.print(
            f"Written: {os.path.relpath(report.REPORT)}, and the result in {os.path.relpath(report.README)}",
            soft_wrap=True,
        )


def status(results: Results) -> int:
    counts = [t["reconcile"] for t in results["trials"] if SUBJECTS[t["twin"]].promises_counts]
    if results.get("missing") or any(count["lost"] or count["extra"] for count in counts):
        return FAILED
    if results["profile"] == "smoke":  # it is about whether everything works, on a busy machine too
        return 0 if all(trial["reconcile"]["acknowledged"] for trial in results["trials"]) else FAILED
    alone = len({trial["twin"] for trial in results["trials"]}) == 1
    valid = any(level["valid"] for trial in results["trials"] if trial["valid"] for level in trial["levels"])
    return 0 if results["comparison"] or (alone and valid) else NOTHING_VALID


if __name__ == "__main__":
    sys.exit(main())
