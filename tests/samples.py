"""Results that look like measured ones."""

from functools import cache
from itertools import accumulate

from hdrh.histogram import HdrHistogram

from loadtests.analysis.pairs import capacity, compare, control
from loadtests.analysis.results import Knee, Results, Trial
from loadtests.load.measured import Level

ENOUGH = 12_000
"""Requests for any percentile."""
RATES = (50, 100, 200, 400, 800)


def percentiles(p95: float | None) -> dict[str, float | None]:
    """Return the percentiles of a distribution with that p95."""
    shares = {"p50": 0.4, "p90": 0.9, "p95": 1.0, "p99": 2.0, "p99.9": 3.0, "max": 4.0}
    return {name: None if p95 is None else p95 * share for name, share in shares.items()}


def histogram(p95: float | None) -> str:
    """Return 1,000 latencies with about that p95, encoded."""
    return _histogram(float(f"{p95 or 0:.1g}"))


@cache
def _histogram(p95: float) -> str:
    made = HdrHistogram(1, 3_600_000_000, 3)
    for rank in range(1_000 if p95 else 0):
        made.record_value(int(p95 * 1000 * (0.2 + rank / 1187)))
    encoded: bytes = made.encode()
    return encoded.decode()


def level(
    users: int,
    p95: float | None,
    reasons: list[str] | None = None,
    *,
    profile: str = "ramp",
    name: str | None = None,
    rate: float | None = None,
    acknowledged: int = ENOUGH,
) -> Level:
    """A level of the closed model, or with `rate` of the open one, where what was due waited a tenth more."""
    due = None if p95 is None else p95 * 1.1
    return {
        "profile": profile,
        "name": name or (f"{rate:.0f}/s" if rate else f"{users} users"),
        "users": users,
        "seconds": 4.5,
        "offered_rps": rate,
        "sent_rps": rate or 95.5,
        "achieved_rps": rate or 95.25,
        "acknowledged": acknowledged,
        "failed": {"500": 0, "503": 0, "timeout": 0},
        "in_flight_at_start": 1,
        "in_flight_at_end": 2,
        "latency_ms": percentiles(p95),
        "due_latency_ms": percentiles(due) if rate else None,
        "histogram": histogram(p95),
        "due_histogram": histogram(due) if rate else None,
        "generator": {"cpu_share": 0.5, "loop_lag_p99_ms": 3.0, "sent_share": 1.0 if rate else None},
        "valid": not reasons,
        "invalid_reasons": reasons or [],
    }


def trial(pair: int, twin: str, p95: float, lost: int = 0, profile: str = "ramp") -> Trial:
    """Valid, with one level of 10 users."""
    return {
        "profile": profile,
        "pair": pair,
        "order": 1,
        "twin": twin,
        "valid": True,
        "invalid_reasons": [],
        "levels": [level(10, p95, profile=profile)],
        "timeline": {
            "slot_seconds": 0.5,
            "users": [10, 10, 10, 10],
            "acknowledged": [40, 48, 47, 0],
            "failed": [0, 0, 2 if lost else 0, 0],
            "p50_ms": [p95 * 0.5, p95 * 0.4, p95 * 0.4, None],
            "p95_ms": [p95 * 1.5, p95, p95 * 0.9, None],
        },
        "knee": None,
        "failed": {"500": 2} if lost else {},
        "cpu_seconds": {"app": 2.0, "mysql": 1.0, "redis": 0.5, "generator": 3.0},
        "memory_mb": {"app": 80.5, "mysql": 150.0, "redis": 12.0},
        "written_mb": {"mysql": 6.0, "redis": 1.5},
        "statements": 3_000,
        "mean_ms": {"request": p95 * 0.3, "mysql": p95 * 0.2},
        "freshness_ms": percentiles(20.0),
        "counted_ms": percentiles(3000.0),
        "drain_seconds": 2.5,
        "reconcile": {
            "acknowledged": 1_000,
            "unanswered": 0,
            "recorded": 1_000 - lost,
            "lost": lost,
            "extra": 0,
        },
        "machine": {"stolen_share": 0.0, "others_share": 0.0, "restarted": []},
    }


def knee_trial(pair: int, twin: str, knee: int, p95: float) -> Trial:
    """Levels of 50, 100, ... 800/s, kept up with as far as `knee`, and those at shares of it."""
    rungs = [level(400, p95 if rate <= knee else 900.0, profile="knee", rate=rate) for rate in RATES]
    shares = [
        level(400, p95 * share / 90, profile="knee", rate=knee * share / 100, name=f"{share} % of the knee")
        for share in (50, 75, 90)
    ]
    found: Knee = {"rps": float(knee), "limit": "p95 of 900 ms at the next rate"}
    return {
        **trial(pair, twin, p95, profile="knee"),
        "levels": [*rungs, *shares],
        "timeline": None,
        "knee": found,
    }


def other(like: Trial) -> Trial:
    """The same by the third implementation, of which less is known."""
    unknown: dict[str, float] = {}
    return {
        **like,
        "twin": "other",
        "cpu_seconds": {"generator": 3.0},
        "memory_mb": unknown,
        "written_mb": unknown,
        "statements": None,
        "mean_ms": unknown,
        "freshness_ms": {},
        "counted_ms": {},
    }


def full(pairs: int = 6, ratio: float = 3.0) -> Results:
    """Ramp, spike and knee; from pair to pair the ratio of the twins changes a little."""
    noise = [1 + (pair * 7 % 5 - 2) / 50 for pair in range(1, pairs + 1)]
    trials: list[Trial] = []
    for pair, drift in enumerate(noise, 1):
        for twin, p95 in (("naive_sync", 10.0 * ratio * drift), ("async_dedup", 10.0)):
            each = trial(pair, twin, p95)
            sizes = accumulate((10, 40, 50, 100, 300))
            each["levels"] = [level(users, p95 * (1 + users / 100)) for users in sizes]
            trials.append(each)
    for pair, drift in enumerate(noise[:3], 1):
        for twin, p95 in (("naive_sync", 20.0 * ratio * drift), ("async_dedup", 20.0)):
            each = trial(pair, twin, p95, profile="spike")
            each["levels"] = [
                level(10, p95, profile="spike", name="10 users before", acknowledged=500),
                level(1000, p95 * 10, profile="spike"),
                level(10, p95 * 2, profile="spike", name="10 users after", acknowledged=1_200),
            ]
            trials.append(each)
            knee = 200 if twin == "naive_sync" else 800
            trials.append(knee_trial(pair, twin, knee, p95 / 4))
    return results(trials)


def results(trials: list[Trial]) -> Results:
    """Of these trials; the floor has the levels of the first trial of each profile."""
    models = {each["profile"]: each for each in reversed(trials)}
    floor = [
        level(each["users"], 1.5, profile=name, name=each["name"], rate=each["offered_rps"])
        for name, model in reversed(models.items())
        for each in model["levels"]
    ]
    return {
        "schema": 1,
        "run": "20260101T000000Z-ramp",
        "started_at": "2026-01-01T00:00:00+00:00",
        "seconds": 300.0,
        "commit": "0123456789ab",
        "seed": 1,
        "profile": "ramp",
        "host": None,
        "command": "make bench PROFILE=ramp PAIRS=1 SEED=1",
        "environment": {
            "cpu": "A | B",
            "cores": 2,
            "generator_cores": [1],
            "memory_gb": 8.0,
            "system": "Debian GNU/Linux 12",
            "kernel": "Linux 6.1",
            "python": "3.11.2",
            "packages": {"flask": "3.1.0"},
            "mysql": {"version": "10.11", "innodb_flush_log_at_trx_commit": "1"},
            "redis": {"version": "7.0.15", "save": ""},
            "flush_interval_seconds": 5.0,
            "pool_size": 30,
        },
        "trials": trials,
        "floor": floor or [level(10, p95=1.5)],
        "floor_knee": {"rps": 2_000.0, "limit": "the highest rate that was tried"}
        if "knee" in models
        else None,
        "comparison": compare(trials),
        "control": control(trials),
        "capacity": capacity(trials),
    }
