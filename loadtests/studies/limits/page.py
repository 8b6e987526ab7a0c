"""docs/limits.md: every limit beside its target, from the raw file alone."""

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Any, NamedTuple

from loadtests.analysis.pairs import latency
from loadtests.analysis.results import Trial
from loadtests.analysis.summary import per_thousand, reasons, server_per_thousand
from loadtests.load.measured import Level
from loadtests.report.markdown import table
from loadtests.report.numbers import number, short
from loadtests.studies.limits.bound import Bound
from loadtests.studies.limits.lone import USERS, Lone
from loadtests.studies.limits.saturated import Minute
from loadtests.studies.study import Raw, measured_on

LINEAR = 0.8
"""Of the rate at the smallest size that the largest must keep to be called linear."""
HOW = """## How

The servers are on one core, the load generator is on another. Everything runs: Redis with `appendfsync
always`, worker, scheduler, MySQL, metrics. Every event of every trial is audited. An invalid trial is listed
below with its reason, and enters no figure.

- **Saturation**: 50 connections send the next event as soon as they are answered. 7 in 10 events are repeated
  ones. Each trial is a pair with a handler that does nothing, on the same server.
- **CPU per event**: counted until the drain is over, so digest and flush are in it. The generator's is that
  of its own process, over its requests.
- **The bound**: what no design can leave out, each part measured bare. The handler that does nothing reads,
  parses and answers a request; Redis gets one HINCRBY for each fingerprint of a group of 50 events, one XADD
  for each new one, and syncs its file; MySQL gets 500 rows in an INSERT and a commit.
- **Rows written**: by MySQL's own counter (`Handler_write`), without the ledger's, over the issues that are
  there after a minute of saturation. A row that is written again counts again.
- **Users**: each thinks 100 ms on average between two events.
- **Flush, digest**: the API's own buffer class fills Redis, without HTTP. Then one flush, or one digest, runs
  on the servers' core. "New rows" means that the fingerprints are not in the table yet. First events have a
  stack trace of about 1 kB.
- **Memory**: of Redis' data set, for one fingerprint's count in the buffer.
- **Start**: from the start of the process to the first 200 of `/api/v1/ready`."""


BOUND = 1.5
"""Times the bound, at most."""
PROCESSES = {
    "app": "read, parse and answer a request",
    "redis": "count it, keep what is new, sync",
    "mysql": "a row for what is new",
    "worker": "",
    "scheduler": "",
}


class Row(NamedTuple):
    what: str
    values: Sequence[float]
    """One for each trial, pair or repetition."""
    target: float | None
    unit: str = ""
    at_most: bool = True

    @property
    def met(self) -> bool:
        middle = median(self.values)
        return middle <= (self.target or 0) if self.at_most else middle >= (self.target or 0)


def render(raw: Raw) -> str:
    made = [row for name, rows in ROWS.items() if name in raw for row in rows(raw[name]["values"])]
    if "saturation" in raw and "bound" in raw:
        made.append(_over_bound(raw["saturation"]["values"], raw["bound"]["values"]))
    sections = [
        section(*(raw[part]["values"] for part in parts))
        for parts, section in SECTIONS.items()
        if all(part in raw for part in parts)
    ]
    joined = "\n\n".join([*sections, HOW])
    return f"""# The limits of the async twin

{_verdict(made)}

{table(["", "target", "median", "smallest", "largest", "of", ""], map(_cells, made))}

{joined}

{_left_out(raw)}

{measured_on("limits", raw)}"""


def _verdict(rows: Iterable[Row]) -> str:
    judged = [row for row in rows if row.target is not None and row.values]
    missed = [row.what for row in judged if not row.met]
    names = f" Missed: {'; '.join(missed)}." if missed else ""
    return f"{len(judged) - len(missed)} of {len(judged)} targets are met.{names}"


def _cells(row: Row) -> list[str]:
    if row.target is None:
        target, verdict = "", ""
    else:
        target = f"{'at most' if row.at_most else 'at least'} {row.target:,g}{row.unit}"
        verdict = "" if not row.values else "met" if row.met else "**missed**"
    if not row.values:
        return [row.what, target, "-", "", "", "0", verdict]
    figures = (median(row.values), min(row.values), max(row.values))
    return [
        row.what,
        target,
        *(f"{short(each)}{row.unit}" for each in figures),
        str(len(row.values)),
        verdict,
    ]


def _saturation(values: Any) -> list[Row]:
    pairs: list[tuple[Level, Trial]] = [*zip(values["floor"], values["trials"], strict=True)]
    valid = [(floor, trial) for floor, trial in pairs if trial["valid"]]
    trials = [trial for _, trial in valid]
    rates = [_rate(trial) for trial in trials]
    return [
        Row("saturated rate", rates, 4_500, "/s", at_most=False),
        Row(
            "the same of the handler that does nothing",
            [each["achieved_rps"] for each, _ in valid],
            None,
            "/s",
        ),
        Row("CPU of all server processes per event", _known(map(server_per_thousand, trials)), 0.065, " ms"),
        Row(
            "CPU of the generator per request",
            [per_thousand(each)["generator"] for each in trials],
            0.12,
            " ms",
        ),
        Row("generator's share of its core", _shares(trial["levels"][0] for trial in trials), None),
        Row("the same beside the handler that does nothing", _shares(floor for floor, _ in valid), None),
    ]


def _crowd(trials: list[Trial]) -> list[Row]:
    levels = [level for trial in trials if trial["valid"] for level in trial["levels"] if level["valid"]]
    few, many = ([each for each in levels if each["users"] == users] for users in (200, 500))
    return [
        Row("p95 at 500 users", _known(latency(each, "p95") for each in many), 5, " ms"),
        Row("requests at 500 users", [each["achieved_rps"] for each in many], 4_500, "/s", at_most=False),
        Row("failures at 500 users", [float(sum(each["failed"].values())) for each in many], 0),
        Row("p95 at 200 users", _known(latency(each, "p95") for each in few), 4, " ms"),
    ]


def _lone(times: list[Lone]) -> list[Row]:
    levels = [trial["levels"][0] for trial in _valid(each["trial"] for each in times)]
    return [
        Row(f"{name} at 10 users", _known(latency(each, name) for each in levels), target, " ms")
        for name, target in (("p50", 0.9), ("p95", 1.5))
    ]


def _minute(minute: Minute) -> list[Row]:
    valid = _valid([minute["trial"]])
    rows, counted = (_known(trial[name]["p95"] for trial in valid) for name in ("freshness_ms", "counted_ms"))
    written = [minute["rows_written"] for _ in valid]
    return [
        Row("drain after a minute of saturation", [each["drain_seconds"] for each in valid], 7, " s"),
        Row("first event to its row during that minute, p95", rows, 1_000, " ms"),
        Row("first event to its right count, the same", counted, 1_000, " ms"),
        Row("rows written to MySQL for each issue", written, 1.1),
    ]


def _flush(flushes: list[dict[str, float]]) -> list[Row]:
    rows, sizes = [], sorted({int(each["fingerprints"]) for each in flushes})
    for kind in ("existing", "new"):
        rates = {size: [each[kind] for each in flushes if each["fingerprints"] == size] for size in sizes}
        rows += [
            Row(f"flush of {size:,} fingerprints, {kind} rows", rates[size], 20_000, "/s", at_most=False)
            for size in sizes
        ]
        kept = median(rates[sizes[-1]]) / median(rates[sizes[0]])
        what = f"rate at {sizes[-1]:,} / rate at {sizes[0]:,}, {kind} rows"
        rows.append(Row(what, [kept], LINEAR, at_most=False))
    return rows


def _digest(rates: list[float]) -> list[Row]:
    return [Row("digest of first events", rates, 10_000, "/s", at_most=False)]


def _memory(size: float) -> list[Row]:
    return [Row("Redis memory per pending fingerprint, without payload", [size], 150, " bytes")]


def _start(seconds: list[float]) -> list[Row]:
    return [Row("start of the API until ready", seconds, 1.5, " s")]


ROWS: dict[str, Callable[[Any], list[Row]]] = {
    "saturation": _saturation,
    "crowd": _crowd,
    "lone": _lone,
    "minute": _minute,
    "flush": _flush,
    "digest": _digest,
    "memory": _memory,
    "start": _start,
}


def _over_bound(saturation: Any, bounds: list[Bound]) -> Row:
    least = _least(bounds)
    spent = _known(map(server_per_thousand, _valid(saturation["trials"])))
    return Row("CPU of all server processes per event / the bound", [each / least for each in spent], BOUND)


def _least(bounds: list[Bound]) -> float:
    """Return the bound in milliseconds for an event."""
    return 1000 * sum(_median(each[name] for each in bounds) for name in bounds[0])


def _bound(saturation: Any, bounds: list[Bound]) -> str:
    trials = _valid(saturation["trials"])
    rows = []
    for name, what in PROCESSES.items():
        least = 1000 * _median(each.get(name, 0.0) for each in bounds)
        spent = _median(per_thousand(each)[name] for each in trials) if trials else None
        rows.append([name, what, _microseconds(least), _microseconds(spent)])
    return f"""## The bound: what no design can leave out

{table(["process", "what it can't leave out", "the bound, us", "the async twin, us"], rows)}

CPU for an event, saturated, medians; the bound is {_microseconds(_least(bounds))} us in all."""


def _waterfall(times: list[Lone]) -> str:
    trials = _valid(each["trial"] for each in times)
    if not trials:
        return "No trial of the lone request is valid."
    floor = _median(_known(latency(each["floor"], "p50") for each in times))
    ping, counted, kept = (
        _median(_known(each[name]["p50"] for each in times)) for name in ("ping", "counted", "kept")
    )
    total = _median(_known(latency(trial["levels"][0], "p50") for trial in trials))
    steps = [
        ("a request answered at once: client, loopback, server", "kernel, uvicorn, Locust", floor),
        ("to Redis and back: two processes are woken", "kernel", ping),
        ("its event packed, sent, counted, written to Redis' file", "Python, Redis", counted - ping),
        ("the file synced", "kernel, disk", kept - counted),
        ("parsed and checked; what else has the core just then", "Python", total - floor - kept),
        ("all", "", total),
    ]
    return f"""## Where the time of a lone request goes

{table(["step", "whose it is", "p50, ms"], [[step, whose, short(value)] for step, whose, value in steps])}

At the pace of {USERS} users. Each step is measured by itself, and contains those above it: a line is the
difference, and may come out below zero where it is small."""


SECTIONS: dict[tuple[str, ...], Callable[..., str]] = {
    ("saturation", "bound"): _bound,
    ("lone",): _waterfall,
}


def _left_out(raw: Raw) -> str:
    trials = {name: TRIALS[name](raw[name]["values"]) for name in TRIALS if name in raw}
    rows = [
        [name, trial["pair"], "; ".join(reasons(trial))]
        for name, each in trials.items()
        for trial in each
        if reasons(trial)
    ]
    lines = table(["part", "pair", "why"], rows) if rows else "Nothing."
    return f"""## Left out, and why

{lines}

A level of users in which the generator's core is full is left out. The saturation keeps such trials: the
table above shows how full the core was."""


TRIALS: dict[str, Callable[[Any], list[Trial]]] = {
    "saturation": lambda values: values["trials"],
    "crowd": lambda values: values,
    "lone": lambda values: [each["trial"] for each in values],
    "minute": lambda values: [values["trial"]],
}


def _valid(trials: Iterable[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial["valid"]]


def _median(values: Iterable[float]) -> float:
    return median([*values])


def _microseconds(milliseconds: float | None) -> str:
    return number(milliseconds and milliseconds * 1000, 1)


def _rate(trial: Trial) -> float:
    return trial["levels"][0]["achieved_rps"]


def _shares(levels: Iterable[Level]) -> list[float]:
    return _known(level["generator"]["cpu_share"] for level in levels)


def _known(values: Iterable[float | None]) -> list[float]:
    return [each for each in values if each is not None]
