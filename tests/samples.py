"""Results that look like measured ones."""

from loadtests.results import Level, Results, Trial, compare

LATENCIES = ("p50", "p90", "p95", "p99", "max")


def level(users: int, p95: float | None, reasons: list[str] | None = None) -> Level:
    return {
        "users": users,
        "seconds": 4.5,
        "offered_rps": None,
        "achieved_rps": 95.25,
        "acknowledged": 430,
        "failed": {"500": 0, "503": 0, "timeout": 0},
        "latency_ms": dict.fromkeys(LATENCIES, p95),
        "generator": {"cpu_share": 0.5, "loop_lag_p99_ms": 3.0},
        "valid": not reasons,
        "invalid_reasons": reasons or [],
    }


def trial(pair: int, twin: str, p95: float, lost: int = 0) -> Trial:
    """Valid, with one level of 10 users."""
    recorded = 1_000 - lost
    return {
        "pair": pair,
        "order": 1,
        "twin": twin,
        "valid": True,
        "invalid_reasons": [],
        "levels": [level(10, p95)],
        "failed": {"500": 2} if lost else {},
        "cpu_seconds": {"app": 2.0, "mysql": 1.0, "redis": 0.5, "generator": 3.0},
        "freshness_ms": dict.fromkeys(LATENCIES, 20.0),
        "counted_ms": dict.fromkeys(LATENCIES, 3000.0),
        "drain_seconds": 2.5,
        "reconcile": {
            "acknowledged": 1_000,
            "unanswered": 0,
            "recorded": recorded,
            "lost": lost,
            "extra": 0,
        },
        "machine": {"stolen_share": 0.0, "others_share": 0.0, "restarted": []},
    }


def results(trials: list[Trial]) -> Results:
    return {
        "schema": 1,
        "run": "20260101T000000Z-ramp",
        "started_at": "2026-01-01T00:00:00+00:00",
        "seconds": 300.0,
        "commit": "0123456789ab",
        "seed": 1,
        "profile": "ramp",
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
        "floor": [level(10, p95=1.5)],
        "comparison": compare(trials),
    }
