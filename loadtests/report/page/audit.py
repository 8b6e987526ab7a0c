"""Why to believe it: every count checked, every trial with its validity, and what it was measured on."""

from typing import Any

from loadtests.analysis.results import Reconciliation, Results, Trial
from loadtests.analysis.summary import level_reasons, reasons
from loadtests.load.measured import Level
from loadtests.report.numbers import kinds, number
from loadtests.report.page.parts import Section, table

COUNTS = ("acknowledged", "unanswered", "recorded", "lost", "extra")


def counts(results: Results) -> Section:
    rows = [[*_turn(trial), *_counted(trial["reconcile"])] for trial in results["trials"]]
    return {
        "id": "counts",
        "title": "Every count checked",
        "note": "Every event of every trial, valid or not, fingerprint by fingerprint after the drain. Lost: "
        "the client was told that it is kept, and MySQL does not have it. Extra: MySQL has it more "
        "often than anyone sent it. Unanswered: the client never learnt the outcome. Anything but 0 in "
        "lost or extra is a broken promise, but of naive_sync, which makes none.",
        "parts": [table(["twin", "profile", "pair", *COUNTS], rows)] if rows else [],
    }


def _counted(counts: Reconciliation) -> list[str]:
    """Return the counts in the order of COUNTS."""
    numbers = (
        counts["acknowledged"],
        counts["unanswered"],
        counts["recorded"],
        counts["lost"],
        counts["extra"],
    )
    return [f"{each:,}" for each in numbers]


def trials(results: Results) -> Section:
    rows = [
        [
            *_turn(trial),
            str(trial["order"]),
            "valid" if trial["valid"] else "not valid",
            kinds(trial["failed"]),
            number(_busiest(trial["levels"]), 0),
            "; ".join(reasons(trial)) or "-",
        ]
        for trial in results["trials"]
    ]
    if results["floor"]:
        left_out = "; ".join(level_reasons(results["floor"])) or "-"
        rows.append(["floor", "", "", "", "", "", number(_busiest(results["floor"]), 0), left_out])
    heads = [
        "twin",
        "profile",
        "pair",
        "order",
        "validity",
        "failed",
        "generator, % of its core",
        "left out, and why",
    ]
    return {
        "id": "trials",
        "title": "Every trial",
        "note": "The rules were fixed before the run: a trial is not valid where the machine was stolen from "
        "or busy with other work, a process restarted, or the audit failed; a level is not valid "
        "where the generator was the limit. What is not valid stays here with its reason, and is in "
        "no figure above but the counts.",
        "parts": [table(heads, rows)],
    }


def _turn(trial: Trial) -> list[str]:
    return [trial["twin"], trial["profile"], str(trial["pair"])]


def _busiest(levels: list[Level]) -> float | None:
    shares = [level["generator"]["cpu_share"] for level in levels]
    return max((share * 100 for share in shares if share is not None), default=None)


def measured_on(results: Results) -> Section:
    run = {
        "started": results["started_at"],
        "length": f"{results['seconds']:,.0f} s",
        "commit": results["commit"],
        "profile": results["profile"],
        "seed": results["seed"],
    }
    if results["host"]:
        run["other"] = results["host"]
    rows = [[name.replace("_", " "), _text(value)] for name, value in (run | results["environment"]).items()]
    return {
        "id": "environment",
        "title": "Measured on",
        "note": "Figures of one machine hold for that machine: the ratio travels better than the "
        "milliseconds. What decides most is the number of cores, the disk, and how durable a commit "
        "is.",
        "parts": [table(["what", "value"], rows)],
    }


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(each)}" for name, each in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    return "-" if value in (None, "") else str(value)
