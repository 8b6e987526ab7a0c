"""The sections of RESULTS.md about the audit, every single trial, and the machine."""

from collections.abc import Sequence
from typing import Literal, get_args

from loadtests.analysis.pairs import latency
from loadtests.analysis.results import Environment, Results, Trial
from loadtests.analysis.summary import level_ids, level_reasons, profiles, reasons, subjects
from loadtests.report.markdown import table
from loadtests.report.numbers import kinds, number

Count = Literal["acknowledged", "unanswered", "recorded", "lost", "extra"]
COUNTS: tuple[Count, ...] = get_args(Count)


def counts(results: Results, profile: str) -> str:
    rows = []
    for twin in subjects(results)[:-1]:
        audits = [t["reconcile"] for t in results["trials"] if (t["twin"], t["profile"]) == (twin, profile)]
        rows.append([twin, len(audits), *(f"{sum(audit[key] for audit in audits):,}" for key in COUNTS)])
    title = "### Counts: what clients were told against what MySQL holds"
    return f"{title}\n\n{table(['', 'trials', *COUNTS], rows)}"


def every_trial(results: Results) -> str:
    generator = max(
        (level["generator"]["cpu_share"] or 0.0 for trial in results["trials"] for level in trial["levels"]),
        default=0.0,
    )
    head = f"""## Every trial

p95 in milliseconds, or the knee in requests per second; then the audit. Invalid trials and levels are listed
here, too; they enter no latency, rate or cost above. In a level of a twin the generator used at most
{generator:.0%} of its core."""
    tables = (f"### {each}\n\n{_trials(results, each)}" for each in profiles(results))
    return "\n\n".join([head, *tables])


def _trials(results: Results, profile: str) -> str:
    knee = profile == "knee"
    names = ["knee"] if knee else [level.name for level in level_ids(results, profile)]
    heads = ["pair", "order", "twin", *names, *COUNTS, "failed", "left out, and why"]
    rows = [_trial(trial, names) for trial in results["trials"] if trial["profile"] == profile]
    return table(heads, [*rows, _floor(results, profile, names)])


def _trial(trial: Trial, names: list[str]) -> Sequence[object]:
    if trial["knee"]:
        figures = [number(trial["knee"]["rps"], 0)]
    else:
        values = {level["name"]: latency(level, "p95") for level in trial["levels"]}
        figures = [number(values.get(name), 1) for name in names]
    audit = [f"{trial['reconcile'][key]:,}" for key in COUNTS]
    failed, left_out = kinds(trial["failed"]), "; ".join(reasons(trial))
    return [trial["pair"], trial["order"], trial["twin"], *figures, *audit, failed, left_out]


def _floor(results: Results, profile: str, names: list[str]) -> Sequence[object]:
    levels = [level for level in results["floor"] if level["profile"] == profile]
    if profile == "knee":
        figures = [number(results["floor_knee"] and results["floor_knee"]["rps"], 0)]
    else:
        values = {level["name"]: latency(level, "p95") for level in levels}
        figures = [number(values.get(name), 1) for name in names]
    return ["", "", "floor", *figures, *[""] * len(COUNTS), "", "; ".join(level_reasons(levels))]


def machine(about: Environment) -> str:
    rows: list[Sequence[object]] = [
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


def machine_in_short(about: Environment) -> str:
    """Return the machine for a page that is not RESULTS.md, where all of it stands."""
    mysql, redis = about["mysql"].get("version", "?"), about["redis"].get("version", "?")
    return f"""## Measured on

{about["cpu"]}, {about["cores"]} cores; {about["system"]};
Python {about["python"]}; MySQL {mysql}; Redis {redis}.
Packages and settings are in the raw file, under `environment`; what each means for a result stands in
[RESULTS.md](../RESULTS.md#measured-on)."""


def _named(values: dict[str, str]) -> str:
    return ", ".join(f"{name} {value or '(empty)'}" for name, value in values.items())
