"""RESULTS.md from the newest results.json: `python -m loadtests.report`.

Nothing in it but what is in that file: no figure, and no sentence about figures, comes from anywhere else.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

from loadtests.bootstrap import ROOT
from loadtests.markdown import chart, number, table
from loadtests.results import Results, Trial, newest
from loadtests.stats import PAIRS_FOR_AN_INTERVAL
from loadtests.summary import (
    TWINS,
    LevelId,
    failures,
    level_ids,
    level_reasons,
    over_levels,
    over_trials,
    per_thousand,
    percentile,
    profiles,
    reasons,
    spread,
    verdict,
)

REPORT = ROOT / "RESULTS.md"
README = ROOT / "README.md"
README_MARKS = ("<!-- result: written by `make report` -->", "<!-- /result -->")
SUBJECTS = (*TWINS, "floor")
PROCESSES = ("app", "mysql", "redis", "worker", "scheduler", "generator")


def write(path: Path = REPORT) -> None:
    """Write the report of the newest run. Raises FileNotFoundError where there is no run."""
    source = newest()
    if source is None:
        raise FileNotFoundError("no results yet: `make bench` makes some")
    path.write_text(render(json.loads(source.read_text())))


def render(results: Results) -> str:
    """Return the report as Markdown; the same results always give the same text."""
    sections = (_head, _latency, _rates, _counts, _times, _cpu, _trials, _machine)
    return "\n\n".join(section(results) for section in sections) + "\n"


def _head(results: Results) -> str:
    return f"""# Results

{verdict(results)}

Run `{results["run"]}`, started {results["started_at"]}, {results["seconds"]:.0f} s long;
commit `{results["commit"]}`, profile `{results["profile"]}`, seed {results["seed"]}.
To repeat it: `{results["command"]}`.
Made from `loadtests/results/{results["run"]}/results.json` by `make report`; do not edit."""


def _p95_table(results: Results) -> str:
    ratios = {LevelId(each["profile"], each["level"]): each["p95_ratio"] for each in results["comparison"]}
    rows = []
    for size in _ids(results):
        values = [number(percentile(results, subject, size, "p95"), 1) for subject in SUBJECTS]
        ratio = ratios.get(size)
        rows.append(
            [size.name, *values, *([f"{ratio['median']:.2f}", spread(ratio)] if ratio else ["-", ""])]
        )
    return table(["users", "naive_sync", "async_dedup", "floor", "naive / async", "over the pairs"], rows)


def _ids(results: Results) -> list[LevelId]:
    return [each for profile in profiles(results) for each in level_ids(results, profile)]


def _latency(results: Results) -> str:
    return f"""## Latency: p95 in milliseconds

Each request's own time, of successful requests, the beginning of each level left out; exact percentiles, the
median of the trials. The floor is the same load against a handler that does nothing. The ratio is the median
of the ratios of the pairs. {_interval(results)}

{_p95_table(results)}

{_curves(results)}"""


def _interval(results: Results) -> str:
    pairs = min(
        (each["p95_ratio"]["pairs"] for each in results["comparison"] if each["p95_ratio"]), default=0
    )
    if pairs < PAIRS_FOR_AN_INTERVAL:
        return f"Fewer than {PAIRS_FOR_AN_INTERVAL} pairs: demo, no interval."
    if pairs == PAIRS_FOR_AN_INTERVAL:
        return "With 6 pairs, the smallest and the largest ratio are a 97 % interval of the median."
    return "The smallest and the largest ratio are an interval of the median of more than 97 %."


def _curves(results: Results) -> str:
    """Draw the levels that have a value for everyone: Mermaid has no gaps."""
    values = {size: [percentile(results, s, size, "p95") for s in SUBJECTS] for size in _ids(results)}
    complete = {size: [v for v in each if v is not None] for size, each in values.items() if None not in each}
    if not complete:
        return "No level has a valid value for both twins and the floor, so there is no chart."
    title = "p95 over users: naive_sync orange, async_dedup blue, floor grey"
    return chart(
        title, [int(size.name.split()[0]) for size in complete], list(zip(*complete.values(), strict=True))
    )


def _rates(results: Results) -> str:
    rows = []
    for size in _ids(results):
        rates = [over_levels(results, s, size, lambda level: level["achieved_rps"]) for s in SUBJECTS]
        kinds = [_kinds(failures(results, twin, size)) for twin in TWINS]
        rows.append([size.name, *(number(rate, 0) for rate in rates), *kinds])
    heads = ["users", "naive_sync", "async_dedup", "floor", "failed: naive_sync", "failed: async_dedup"]
    return f"""## Rate: successful answers per second

The model is closed: a user waits for its answer, thinks 100 ms on average, and sends the next event. A slow
twin is asked less often. Failures are those of the same time, summed over the trials, by status code or by
what came instead.

{table(heads, rows)}"""


def _counts(results: Results) -> str:
    heads = ["pair", "twin", "acknowledged", "unanswered", "recorded", "lost", "extra", "failed"]
    return f"""## Counts: what clients were told against what MySQL holds

Every event of every trial, also of warm-up and start-up, compared fingerprint by fingerprint after
the drain. Lost: acknowledged but not recorded. Extra: recorded, though neither acknowledged nor unanswered.
Unanswered: no answer, or 503. Failed: every request without a success, by kind.

{table(heads, map(_count, results["trials"]))}"""


def _count(trial: Trial) -> list[object]:
    counts = trial["reconcile"]
    numbers = (
        counts["acknowledged"],
        counts["unanswered"],
        counts["recorded"],
        counts["lost"],
        counts["extra"],
    )
    return [trial["pair"], trial["twin"], *(f"{each:,}" for each in numbers), _kinds(trial["failed"])]


def _times(results: Results) -> str:
    figures: dict[str, Callable[[Trial], float | None]] = {
        "first event to its row, p50, ms": lambda t: t["freshness_ms"].get("p50"),
        "first event to its row, p95, ms": lambda t: t["freshness_ms"].get("p95"),
        "first event to its count, p50, ms": lambda t: t["counted_ms"].get("p50"),
        "first event to its count, p95, ms": lambda t: t["counted_ms"].get("p95"),
        "drain after the load, s": lambda t: t["drain_seconds"],
    }
    rows = [
        [name, *(number(over_trials(results, twin, value), 1) for twin in TWINS)]
        for name, value in figures.items()
    ]
    return f"""## Until it is in MySQL

An answer is not the end of the work. A probe sends two new events a second and looks for them in MySQL every
50 ms. The drain lasts from the end of the load until MySQL's total no longer changes. Medians of the trials.

{table(["", *TWINS], rows)}"""


def _cpu(results: Results) -> str:
    rows = [
        [name, *(number(over_trials(results, twin, _share(name)), 3) for twin in TWINS)] for name in PROCESSES
    ]
    return f"""## CPU seconds per 1,000 acknowledged events

From before the load to the end of the drain, medians of the trials. The generator's work is not the twin's.

{table(["process", *TWINS], rows)}"""


def _share(process: str) -> Callable[[Trial], float | None]:
    return lambda trial: per_thousand(trial).get(process)


def _trials(results: Results) -> str:
    rows = [
        [
            t["pair"],
            t["order"],
            t["twin"],
            *(number(level["latency_ms"]["p95"], 1) for level in t["levels"]),
            "; ".join(reasons(t)),
        ]
        for t in results["trials"]
    ]
    floor = [
        [
            "",
            "",
            "floor",
            *(number(level["latency_ms"]["p95"], 1) for level in results["floor"]),
            "; ".join(level_reasons(results["floor"])),
        ]
    ]
    heads = ["pair", "order", "twin", *(size.name for size in _ids(results)), "left out, and why"]
    generator = max(
        (level["generator"]["cpu_share"] or 0.0 for trial in results["trials"] for level in trial["levels"]),
        default=0.0,
    )
    return f"""## Every trial: p95 in milliseconds

Invalid trials and levels stay here, and are in no latency, rate or CPU figure above. In a level of a twin the
generator used at most {generator:.0%} of its core.

{table(heads, [*rows, *floor])}"""


def _machine(results: Results) -> str:
    about = results["environment"]
    rows = [
        ["CPU", f"{about['cpu']}, {about['cores']} cores"],
        ["cores of the generator alone", ", ".join(map(str, about["generator_cores"])) or "none"],
        ["memory", f"{about['memory_gb']} GB"],
        ["system", f"{about['system']}, {about['kernel']}"],
        ["Python", about["python"]],
        ["packages", _named(about["packages"])],
        ["MySQL", _named(about["mysql"])],
        ["Redis", _named(about["redis"])],
        ["flush interval", f"{about['flush_interval_seconds']} s"],
        ["MySQL connections of a twin's API", about["pool_size"]],
    ]
    return f"## Measured on\n\n{table(['', ''], rows)}"


def _named(values: dict[str, str]) -> str:
    return ", ".join(f"{name} {value or '(empty)'}" for name, value in values.items())


def _kinds(failed: dict[str, int]) -> str:
    return ", ".join(f"{number:,} x {kind}" for kind, number in sorted(failed.items())) or "0"


def write_readme(path: Path = README) -> None:
    """Put the newest run's short result between the marks in the README. Raises FileNotFoundError."""
    source = newest()
    if source is None:
        raise FileNotFoundError("no results yet: `make bench` makes some")
    path.write_text(with_result(path.read_text(), json.loads(source.read_text())))


def with_result(readme: str, results: Results) -> str:
    before, start, rest = readme.partition(README_MARKS[0])
    _, end, after = rest.partition(README_MARKS[1])
    return f"{before}{start}\n{_short(results)}\n{end}{after}"


def _short(results: Results) -> str:
    return f"""{verdict(results)}

{_p95_table(results)}

{_curves(results)}

p95 in milliseconds, on {results["environment"]["cores"]} cores; floor: a handler that does nothing.
Run `{results["run"]}`; all its figures, and what was left out and why: [RESULTS.md](RESULTS.md)."""


if __name__ == "__main__":
    try:
        write()
        write_readme()
    except FileNotFoundError as error:
        sys.exit(f"report: {error}")
