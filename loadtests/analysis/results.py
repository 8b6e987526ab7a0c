"""The shape of results.json; a field's docstring is its description in the published JSON Schema."""

from pathlib import Path
from typing import NamedTuple, NotRequired

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from loadtests.bootstrap import ROOT
from loadtests.load.measured import Level, Timeline

RESULTS = ROOT / "loadtests" / "results"
FILE = "results.json"


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
    """Used by processes that have no part in the benchmark; 0 where it is not known which have."""
    restarted: list[str]
    throttled_share: NotRequired[float]
    """Of the periods of a CPU quota, those in which it stopped the benchmark; runs before it was watched have
    none."""


class Turn(NamedTuple):
    """Which trial of a run: its profile, its pair, its place in the order, and its twin."""

    profile: str
    pair: int
    order: int
    twin: str


class Knee(TypedDict):
    """The highest rate that a twin kept up with."""

    rps: float | None
    """None: it did not even keep up with the lowest."""
    limit: str
    """Why it did not keep up with the next rate, in words."""


class Trial(TypedDict):
    """A trial that is not valid is out of every comparison; of a valid one, the levels that are not."""

    profile: str
    pair: int
    order: int
    twin: str
    """naive_sync, async_dedup, or other: the implementation at `Results.host`. The cost of what the bench did
    not start is not known."""
    valid: bool
    invalid_reasons: list[str]
    levels: list[Level]
    timeline: Timeline | None
    """None in the profile knee, whose rates are runs of their own."""
    knee: Knee | None
    failed: dict[str, int]
    """Over the whole trial, by status code or by what came instead of an answer."""
    cpu_seconds: dict[str, float]
    """By process, from before the load to the end of the drain, like the three below."""
    memory_mb: dict[str, float]
    """The peak of each process, in 10^6 bytes."""
    written_mb: dict[str, float]
    """To disk, by "mysql" and "redis"; empty where the system does not tell."""
    statements: int | None
    """That MySQL was asked to run by the twin; the harness's own are not in it."""
    mean_ms: dict[str, float]
    """Of a request, by the twin's own metrics: "request", and within it "pool", "mysql" and "redis"."""
    freshness_ms: dict[str, float | None]
    """From sending a first event to its row in MySQL."""
    counted_ms: dict[str, float | None]
    """From sending a first event to its count in MySQL."""
    drain_seconds: float
    reconcile: Reconciliation
    machine: Machine


class Environment(TypedDict):
    """What it was measured on."""

    cpu: str
    cores: int | None
    generator_cores: list[int]
    """Which the load generator has for itself; empty where it shares all of them."""
    memory_gb: float
    system: str
    kernel: str
    python: str
    packages: dict[str, str]
    mysql: dict[str, str]
    """Version, and the settings that decide how durable a commit is; so for Redis."""
    redis: dict[str, str]
    flush_interval_seconds: float
    pool_size: int


class Ratio(TypedDict):
    median: float
    low: float
    high: float
    pairs: int
    confidence: float | None
    """That the true median lies between low and high, from the order alone; None with fewer than 6 pairs."""


class Comparison(TypedDict):
    """One level of two twins: the first one's figure over the second one's, pair by pair."""

    profile: str
    level: str
    users: int
    offered_rps: float | None
    twins: list[str]
    p95_ratio: Ratio | None
    """None where one of them has fewer than 2,000 requests in these pairs."""
    p99_ratio: Ratio | None
    """None where one of them has fewer than 10,000."""
    p95_band: float | None
    """The larger one of the two twins' controls."""
    p99_band: float | None
    indistinguishable: bool | None
    """The p95's interval holds 1, or lies inside the band; None where there is no interval."""
    p99_indistinguishable: bool | None


class Control(TypedDict):
    """A twin against itself, block by block: what two trials of the same thing differ by."""

    profile: str
    level: str
    users: int
    twin: str
    p95_ratio: Ratio | None
    p99_ratio: Ratio | None
    p95_band: float | None
    """m of the band from 1/m to m: the largest of the ratios and of their reciprocals."""
    p99_band: float | None


class Capacity(TypedDict):
    """The knees of two twins: the second one's rate over the first one's, pair by pair."""

    twins: list[str]
    knee_ratio: Ratio
    indistinguishable: bool | None


@with_config(ConfigDict(use_attribute_docstrings=True, extra="forbid", allow_inf_nan=False))
class Results(TypedDict):
    schema: int
    run: str
    started_at: str
    seconds: float
    commit: str
    seed: int
    profile: str
    host: str | None
    """Address of the third implementation, where there is one."""
    command: str
    environment: Environment
    trials: list[Trial]
    missing: NotRequired[list[str]]
    """Trials that were planned and are not there, and why. A run that misses any is not published."""
    floor: list[Level]
    """The same levels against a handler that does nothing."""
    floor_knee: Knee | None
    """None without the profile knee."""
    comparison: list[Comparison]
    control: list[Control]
    capacity: list[Capacity]


def newest(folder: Path = RESULTS, profile: str = "*") -> Path | None:
    """Return the newest run's file; None without any run. A run is named after its time and its profile."""
    return max(folder.glob(f"*-{profile}/{FILE}"), default=None, key=lambda path: path.parent.name)
