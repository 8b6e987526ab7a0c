"""The shape of results.json, and what is computed from several trials."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, TypedDict

from loadtests.bootstrap import ROOT

RESULTS = ROOT / "loadtests" / "results"
FILE = "results.json"
PAIRS_FOR_AN_INTERVAL = 6


class Generator(TypedDict):
    cpu_share: float | None
    """Of one core, while the level was measured."""
    loop_lag_p99_ms: float | None


class Level(TypedDict):
    users: int
    seconds: float
    offered_rps: float | None
    """None: the model is closed, the users send as fast as they are answered."""
    achieved_rps: float
    acknowledged: int
    failed: dict[str, int]
    latency_ms: dict[str, float | None]
    generator: Generator
    valid: bool
    invalid_reasons: list[str]


class Reconciliation(TypedDict):
    acknowledged: int
    unanswered: int
    recorded: int
    lost: int
    extra: int


class Machine(TypedDict):
    """What else happened; the shares are of all CPU time of all cores."""

    stolen_share: float
    """Given to other machines by the hypervisor."""
    others_share: float
    """Used by processes that have no part in the benchmark."""
    restarted: list[str]


class Turn(NamedTuple):
    """Which trial of a run: its pair, its place within the pair, and its twin."""

    pair: int
    order: int
    twin: str


class Trial(TypedDict):
    """A trial that is not valid is out of every comparison; of a valid one, the levels that are not."""

    pair: int
    order: int
    twin: str
    valid: bool
    invalid_reasons: list[str]
    levels: list[Level]
    failed: dict[str, int]
    """Over the whole trial, by status code or by what came instead of an answer."""
    cpu_seconds: dict[str, float]
    freshness_ms: dict[str, float | None]
    """From sending a first event to its row in MySQL."""
    counted_ms: dict[str, float | None]
    """From sending a first event to its count in MySQL."""
    drain_seconds: float
    reconcile: Reconciliation
    machine: Machine


class Ratio(TypedDict):
    median: float
    low: float
    high: float
    pairs: int


class Comparison(TypedDict):
    users: int
    p95_ratio: Ratio
    """The naive twin's p95 over the async twin's, pair by pair."""


class Results(TypedDict):
    schema: int
    run: str
    started_at: str
    seconds: float
    commit: str
    seed: int
    profile: str
    command: str
    environment: dict[str, Any]
    trials: list[Trial]
    floor: list[Level]
    comparison: list[Comparison]


def compare(trials: Sequence[Trial]) -> list[Comparison]:
    """Compare the twins level by level, over the pairs in which both trials and both levels are valid."""
    ratios: dict[int, list[float]] = {}
    for naive, async_ in _pairs(trials):
        for left, right in zip(naive["levels"], async_["levels"], strict=True):
            over, under = left["latency_ms"]["p95"], right["latency_ms"]["p95"]
            if left["valid"] and right["valid"] and over and under:
                ratios.setdefault(left["users"], []).append(over / under)
    return [{"users": users, "p95_ratio": _ratio(values)} for users, values in sorted(ratios.items())]


def _pairs(trials: Sequence[Trial]) -> list[tuple[Trial, Trial]]:
    valid = {(trial["pair"], trial["twin"]): trial for trial in trials if trial["valid"]}
    naive = [trial for trial in valid.values() if trial["twin"] == "naive_sync"]
    return [(t, valid[t["pair"], "async_dedup"]) for t in naive if (t["pair"], "async_dedup") in valid]


def _ratio(values: list[float]) -> Ratio:
    return {"median": median(values), "low": min(values), "high": max(values), "pairs": len(values)}


def newest(folder: Path = RESULTS) -> Path | None:
    """Return the newest run's file; None without any run. The name of a run begins with its time."""
    return max(folder.glob(f"*/{FILE}"), default=None, key=lambda path: path.parent.name)
