"""The part of docs/method.md that tells of the newest soak."""

from collections.abc import Callable
from statistics import median

from loadtests.analysis.results import Results, Trial
from loadtests.analysis.summary import subjects, trials_of
from loadtests.report.markdown import table
from loadtests.report.numbers import milliseconds

PARTS = 10
PROCESSES = ("app", "worker", "scheduler", "redis")


def soaked(results: Results) -> str:
    """Return what the first valid trial of each one shows."""
    trials = [each[0] for name in subjects(results)[:-1] if (each := trials_of(results, name))]
    figures: dict[str, Callable[[Trial], str]] = {
        "p95, the lowest and the highest of ten parts": _parts,
        "the slowest of all answers": _slowest,
        "most memory of the app, the worker, the scheduler, Redis": _memory,
        "acknowledged events, of them lost": _counts,
        "written by MySQL and by Redis": _written,
    }
    rows = [[what, *map(figure, trials)] for what, figure in figures.items()]
    raw = f"../loadtests/results/{results['run']}/results.csv"
    unclean = " `+changes`: more lay in the clone than the commit." if "+" in results["commit"] else ""
    return f"""{table(["", *(each["twin"] for each in trials)], rows)}

Run `{results["run"]}`, commit `{results["commit"]}`: [raw]({raw}).{unclean}"""


def _parts(trial: Trial) -> str:
    slots = [each for each in (trial["timeline"] or {"p95_ms": []})["p95_ms"] if each is not None]
    parts = [slots[len(slots) * i // PARTS : len(slots) * (i + 1) // PARTS] for i in range(PARTS)]
    middles = [median(each) for each in parts if each]
    return f"{milliseconds(min(middles))} and {milliseconds(max(middles))} ms" if middles else "-"


def _slowest(trial: Trial) -> str:
    slowest = [each["latency_ms"]["max"] or 0.0 for each in trial["levels"]]
    return f"{milliseconds(max(slowest))} ms"


def _memory(trial: Trial) -> str:
    sizes = [trial["memory_mb"].get(name) for name in PROCESSES]
    return ", ".join("-" if size is None else f"{size:,.0f}" for size in sizes) + " MB"


def _counts(trial: Trial) -> str:
    return f"{trial['reconcile']['acknowledged']:,}, {trial['reconcile']['lost']:,}"


def _written(trial: Trial) -> str:
    mysql, redis = (trial["written_mb"].get(name, 0.0) / 1000 for name in ("mysql", "redis"))
    return f"{mysql:.1f} and {redis:.1f} GB"
