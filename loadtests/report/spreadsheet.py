"""results.csv, for a spreadsheet: a row per trial and level; a trial's figures repeat in each of its rows."""

import csv
from pathlib import Path
from typing import Any

from loadtests.analysis.results import Results, Trial
from loadtests.analysis.summary import is_broken, per_thousand
from loadtests.load.measured import Level
from loadtests.load.subjects import SUBJECTS


def write(path: Path, results: Results) -> None:
    """Write the rows under the names of all columns that any of them has; what is not known is empty."""
    found = rows(results)
    columns = list(dict.fromkeys(name for row in found for name in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)


def rows(results: Results) -> list[dict[str, Any]]:
    """Return the rows; the floor's come last, without a pair."""
    trials = [_trial(trial) | _level(level) for trial in results["trials"] for level in trial["levels"]]
    return [*trials, *({"counts": "", "twin": "floor"} | _level(level) for level in results["floor"])]


def _trial(trial: Trial) -> dict[str, Any]:
    costs = {f"cpu_{name}_seconds_per_1000_events": value for name, value in per_thousand(trial).items()}
    return {
        "counts": _counts(trial),
        "twin": trial["twin"],
        "pair": trial["pair"],
        "order": trial["order"],
        "trial_valid": trial["valid"],
        "trial_invalid_reasons": "; ".join(trial["invalid_reasons"]),
        "trial_knee_rps": trial["knee"] and trial["knee"]["rps"],
        **{f"trial_{name}_events": value for name, value in trial["reconcile"].items()},
        "trial_drain_seconds": trial["drain_seconds"],
        "trial_freshness_p95_ms": trial["freshness_ms"].get("p95"),
        "trial_counted_p95_ms": trial["counted_ms"].get("p95"),
        **{f"trial_{name}": value for name, value in costs.items()},
        **{f"trial_memory_{name}_mb": value for name, value in trial["memory_mb"].items()},
        **{f"trial_written_{name}_mb": value for name, value in trial["written_mb"].items()},
        "trial_statements": trial["statements"],
        **{f"trial_mean_{name}_ms": value for name, value in trial["mean_ms"].items()},
    }


def _counts(trial: Trial) -> str:
    """Return whether a promise was kept, whatever the trial's timing is worth."""
    lost, extra = trial["reconcile"]["lost"], trial["reconcile"]["extra"]
    if is_broken(trial["twin"], lost, extra):
        return f"WRONG: {lost} lost, {extra} doubled"
    return "right" if SUBJECTS[trial["twin"]].promises_counts else "not promised"


def _level(level: Level) -> dict[str, Any]:
    due = level["due_latency_ms"] or {}
    return {
        "profile": level["profile"],
        "level": level["name"],
        "users": level["users"],
        "seconds": level["seconds"],
        "offered_rps": level["offered_rps"],
        "sent_rps": level["sent_rps"],
        "achieved_rps": level["achieved_rps"],
        "acknowledged_requests": level["acknowledged"],
        **{f"failed_{kind}_requests": number for kind, number in level["failed"].items()},
        **{f"latency_{name}_ms": value for name, value in level["latency_ms"].items()},
        **{f"due_latency_{name}_ms": value for name, value in due.items()},
        "generator_cpu_share": level["generator"]["cpu_share"],
        "generator_loop_lag_p99_ms": level["generator"]["loop_lag_p99_ms"],
        "level_valid": level["valid"],
        "level_invalid_reasons": "; ".join(level["invalid_reasons"]),
    }
