"""Short versions of what `make throttle` does, against the real twins; and what its tables say."""

from collections import Counter
from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest

from async_dedup.modes import CYCLE
from loadtests.analysis.results import Reconciliation
from loadtests.load.measured import Level
from loadtests.load.profiles import NOISY, NOISY_ONE, OTHERS
from loadtests.load.progress import Progress
from loadtests.stack import Stack
from loadtests.studies import study
from loadtests.studies.throttle import cost, limited, noisy, noisy_page, page, rush, without_redis
from loadtests.studies.throttle.__main__ import THROTTLE
from loadtests.studies.throttle.script import Script, Step
from loadtests.studies.throttle.without_redis import Times, between, overshoot
from loadtests.trial.driver import Driver
from loadtests.trial.reconcile import connect
from shared.fingerprint import fingerprint
from shared.quota import Quotas, overflow
from shared.settings import Settings
from tests.parts import alone
from tests.samples import level
from tests.samples import trial as whole_trial
from tests.studies.shared import Shared, measured

SHORT = NOISY.with_level_seconds([1, 2, 1])
NAIVE, ASYNC = "naive_sync", "async_dedup"


def setup(stack: Stack) -> Shared:
    return Shared(stack, pairs=1, run_dir=stack.run_dir)


@pytest.mark.parametrize("twin", [NAIVE, ASYNC])
def test_who_is_throttled_is_told_from_who_is_acknowledged(
    stack: Stack, twin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = f"{twin}, limited"
    monkeypatch.setattr(noisy, "CASES", {case: noisy.CASES[case]})
    (found,) = noisy.noisy(setup(stack), SHORT)
    services, audited = found["services"], found["audit"]
    assert services.keys() == audited["services"].keys() == {NOISY_ONE, *OTHERS}
    assert throttled_of(services[NOISY_ONE]["levels"])[1] > 100
    assert (
        sum(each["acknowledged"] for each in audited["services"].values()) == audited["total"]["acknowledged"]
    )
    assert audited["total"]["extra"] == 0
    assert twin == NAIVE or audited["total"]["lost"] == 0


def throttled_of(levels: list[Level]) -> list[int]:
    return [each["failed"].get("429", 0) for each in levels]


def test_two_nodes_keep_a_rate_without_redis_and_without_each_other(stack: Stack) -> None:
    profile = NOISY.with_level_seconds([2, 10, 2])
    found = without_redis.noisy(setup(stack), profile, Times(killed=1, cut=3.5, mended=6, back=8))
    assert [each["name"] for each in found["periods"]] == [
        "flood",
        "Redis killed",
        "the nodes cut off from each other",
        "the nodes together again",
        "Redis started again",
    ]
    assert [each["modes"][-1] for each in found["periods"][:4]] == ["redis", "peer", "local", "peer"]
    assert all(each["modes"] for each in found["periods"])
    # Who was cut off goes on at once: what the other let through meanwhile was a share of its own.
    assert found["periods"][3]["let_through"] > 10
    bound = noisy.BURST + CYCLE * noisy.LIMIT
    assert found["overshoot"] <= bound + 2
    assert (found["audit"]["total"]["lost"], found["audit"]["total"]["extra"]) == (0, 0)
    assert "| Redis killed |" in noisy_page.killed(found)


def test_a_budget_is_never_oversold_and_everybody_is_answered(stack: Stack) -> None:
    (found,) = rush.rush(setup(stack), users=400, twins=[ASYNC])
    assert (found["acknowledged"], found["folded"], found["audit"]["rows"]) == (400, 300, rush.BUDGET)
    assert (found["audit"]["total"]["lost"], found["audit"]["total"]["extra"]) == (0, 0)
    assert found["failed"] == {}
    assert found["states"] == ["redis"]


@pytest.mark.parametrize("stores", rush.KILLED, ids=" and ".join)
def test_nor_is_it_where_stores_are_killed_in_the_middle(stack: Stack, stores: tuple[str, ...]) -> None:
    (found,) = rush.killed(setup(stack), 3_000, [stores])
    assert found["audit"]["rows"] <= rush.BUDGET
    assert found["acknowledged"] + found["in_doubt"] == found["users"]
    assert (found["audit"]["total"]["lost"], found["audit"]["total"]["extra"]) == (0, 0)
    assert "spool" in found["states"] or found["audit"]["folded_later"] == 0


# --- the audit ---


def driver_of(service: str, *messages: str, folded: int) -> Driver:
    """Who was told that these are kept on issues of their own, and so many on the overflow issue."""
    driver = Mock(spec=Driver)
    keys = [fingerprint(message, service) for message in messages]
    driver.acknowledged = Counter(keys) + Counter({overflow(service).fingerprint: folded})
    driver.unanswered = Counter[str]()
    driver.service_of = dict.fromkeys(driver.acknowledged, service)
    driver.services = {service: {}}
    driver.ended_at = 0.0
    return driver


@pytest.mark.parametrize(
    ("planted", "lost", "extra"),
    [
        ({}, 0, 0),
        ({"b": -1}, 1, 0),
        ({"b": 1}, 0, 1),
        ({"overflow": -1}, 1, 0),
        ({"b": -1, "overflow": 1}, 1, 1),  # wrongly folded
        ({"b": 1, "overflow": -1}, 1, 1),  # and wrongly not
    ],
)
def test_what_is_planted_is_found(
    stack: Stack, planted: dict[str, int], lost: int, extra: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limited, "patience", lambda *_: 0.3)
    counts = Counter({"a": 2, "b": 2, "overflow": 5}) + Counter()
    counts.update(planted)
    with alone(stack), connect(stack.settings) as mysql, mysql.cursor() as cursor:
        keys = {name: fingerprint(name, "shop") for name in "ab"} | {"overflow": overflow("shop").fingerprint}
        for name, seen in counts.items():
            cursor.execute(
                "INSERT INTO issues (fingerprint, service, message, times_seen, first_seen, last_seen)"
                " VALUES (%s, 'shop', %s, %s, NOW(6), NOW(6))",
                (keys[name], name, seen),
            )
        found = limited.audit(stack, NAIVE, driver_of("shop", "a", "a", "b", "b", folded=5))
    for each in (found["total"], found["services"]["shop"]):
        assert (each["acknowledged"], each["lost"], each["extra"]) == (9, lost, extra)
    assert (found["rows"], found["folded_later"]) == (2, 0)


# --- arithmetic ---


def test_the_overshoot_is_that_of_the_worst_stretch_of_time() -> None:
    steady = [each / 10 for each in range(100)]
    assert overshoot(steady, rate=10, burst=1) == pytest.approx(0, abs=1e-6)
    assert overshoot([*steady, *[9.95] * 5], rate=10, burst=1) == pytest.approx(5, abs=0.6)
    assert overshoot([1.0] * 12, rate=10, burst=10) == 2
    assert overshoot([1.0] * 6 + [2.0] * 10, rate=10, burst=10) == 0
    assert overshoot([], rate=10, burst=10) == 0


def test_what_is_between_two_moments_is_counted_once() -> None:
    assert [between([1, 2, 3, 4], *ends) for ends in ((1, 3), (3, 9), (5, 9))] == [2, 2, 0]


def test_a_script_does_its_steps_in_time_and_at_the_end_the_others() -> None:
    did, shown = list[str](), list[Progress]()
    steps = [Step(at, name, partial(did.append, name)) for at, name in ((0, "a"), (0, "b"), (60, "c"))]
    script = Script(lambda progress: progress["rate"] > 0, steps, shown.append)
    lines: Any = [{"rate": 0}, {"rate": 5}, {"rate": 0}]
    script(lines[0])
    assert did == []
    script(lines[1])
    script(lines[2])
    assert did == ["a", "b"]
    script.finish()
    assert [name for name, _ in script.done] == did == ["a", "b", "c"]
    assert shown == lines


# --- the page ---


def counts_of(acknowledged: int, lost: int = 0) -> Reconciliation:
    recorded = acknowledged - lost
    return {"acknowledged": acknowledged, "unanswered": 0, "recorded": recorded, "lost": lost, "extra": 0}


def service(before: float | None, flood: float, throttled: int = 0) -> dict[str, Any]:
    levels = [level(10, p95, rate=20) for p95 in (before, flood, before)]
    for each in levels:
        each["due_latency_ms"] = each["latency_ms"]
    levels[1]["failed"]["429"] = throttled
    return {"levels": levels, "timeline": {"slot_seconds": 5, "p95_ms": [before, None, flood]}}


def trial(case: str, flood: float, throttled: int = 0, **others: Any) -> dict[str, Any]:
    services = {
        NOISY_ONE: service(10, 50, throttled=900),
        **{each: service(10, flood, throttled) for each in OTHERS},
    }
    audit = {"total": counts_of(300), "services": dict.fromkeys(services, counts_of(100))}
    made = {"pair": 1, "order": 1, "case": case, "services": services, "audit": audit, "machine": {}}
    return {**made, "valid": True, "invalid_reasons": [], **others}


def test_the_page_says_what_the_others_notice() -> None:
    good, bad = trial("async_dedup, limited", 10.4), trial("naive_sync, limited", 14.0, throttled=3)
    spoilt = trial("async_dedup, limited", 99.0, valid=False, invalid_reasons=["somebody else was busy"])
    text = noisy_page.noisy([good, bad, spoilt, trial("async_dedup, without a limit", 80.0)])  # type: ignore[list-item]
    assert "**async_dedup, limited**: the others got 0 x 429" in text
    assert "their p95 in the flood was 1.04 and 1.04 times that before, within 10 %." in text
    assert "**naive_sync, limited**: the others got 6 x 429" in text
    assert "1.40 and 1.40 times that before, **not** within 10 %." in text
    assert "was 8.00 and 8.00 times that before." in text
    assert (
        "Left out of p95 and ratio: 1 of 4 trials.\n- async_dedup, limited, pair 1: somebody else was busy"
        in text
    )
    assert "line [10.0, 10.0, 10.4]" in text
    assert (
        "| async_dedup, limited | noisy | 1 | 10.0 | 50.0 | 10.0 | 5.00 | 200 | 1,800 | 0 | 0 | 0 |" in text
    )


def rushed(twin: str, **others: Any) -> dict[str, Any]:
    audit = {"total": counts_of(10_000), "folded_later": 0, "rows": 100, "drain_seconds": 2.5}
    return {
        **{"pair": 1, "order": 1, "twin": twin, "killed": [], "users": 10_000, "budget": 100, "processes": 4},
        **{"acknowledged": 10_000, "folded": 9_900, "failed": {}, "in_doubt": 0, "seconds": 9.4},
        **{"p95_ms": 9_000.0, "generator_share": 0.5, "states": ["redis"], "audit": audit},
        **others,
    }


def test_the_page_says_what_became_of_a_rush(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    written = tmp_path / "throttle.md"
    written.write_text(
        "By hand.\n<!-- throttle: written by `make throttle` -->\nstale\n<!-- /throttle -->\nMore.\n"
    )
    monkeypatch.setattr(page, "PAGE", written)
    oversold = {"total": counts_of(8_000, lost=3_000), "folded_later": 0, "rows": 180, "drain_seconds": 0.0}
    naive = rushed(NAIVE, acknowledged=8_000, failed={"timeout": 2_000}, seconds=100.0, audit=oversold)
    died = rushed(ASYNC, killed=["redis", "mysql"], states=["redis", "direct", "direct", "spool"])
    text = page.render(
        {
            "rush": measured([rushed(ASYNC), rushed(ASYNC, seconds=11.0), naive]),
            "rush-killed": measured([died]),
        }
    )
    assert text.startswith("By hand.")
    assert text.endswith("More.\n")
    assert "stale" not in text
    assert (
        "- **async_dedup**: 100 rows and 9,900 folded events, 10,000 of 10,000 users answered with success, "
        "in 9 to 11 s." in text
    )
    assert "- **naive_sync**: 180 rows" in text
    assert (
        "| naive_sync | 1 | 8,000 | 9,900 | 2,000 x timeout | 180 | 100 | 100.0 | 9.0 | 3,000 | 0 |" in text
    )
    assert "| redis and mysql | redis, direct, spool |" in text
    assert "| rush-killed | 2026" in text


def test_the_cost_is_measured_in_pairs(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "PAIRS_OF_EACH", 1)
    (pair,) = cost.cost(setup(stack), "smoke")
    assert pair["free"]["twin"] == pair["limited"]["twin"] == ASYNC
    assert all(pair[each]["reconcile"]["acknowledged"] > 50 for each in ("free", "limited"))
    assert all(pair[each]["reconcile"]["lost"] == 0 for each in ("free", "limited"))


def test_both_cases_of_the_cost_are_settings() -> None:
    assert not Quotas(Settings.model_validate(cost.CASES[cost.FREE])).is_any
    assert Quotas(Settings.model_validate(cost.CASES[cost.LIMITED])).has_rates


def priced(rate: float, is_valid: bool = True) -> cost.Pair:
    """With a limit so many events a second, of 1,000 without."""
    free, limited = whole_trial(1, ASYNC, 5.0), whole_trial(1, ASYNC, 5.0)
    free["levels"][0]["achieved_rps"], limited["levels"][0]["achieved_rps"] = 1_000.0, rate
    limited["valid"] = is_valid
    return {"free": free, "limited": limited}


@pytest.mark.parametrize(("rate", "change", "met"), [(990.0, "-1.0%", "met"), (960.0, "-4.0%", "**missed**")])
def test_the_page_says_what_a_limit_costs(rate: float, change: str, met: str) -> None:
    of_cost = page.SECTIONS["cost"]
    few = of_cost([priced(rate), priced(100.0, is_valid=False)])
    assert f"| events/s | 1,000 | {rate:.0f} | {change} | {change} | {change} | 1 |" in few
    assert f"at most 2% of the rate; {met}." in few
    assert "Left out as not valid: 1 of 2 pairs." in few
    assert "too few pairs for an interval" in few
    assert "at least 95 %" in of_cost([priced(rate)] * 6)
    assert "No pair was valid." in of_cost([priced(rate, is_valid=False)])


def test_the_page_is_what_its_raw_file_makes() -> None:
    if THROTTLE.raw.exists():
        assert THROTTLE.page.read_text() == THROTTLE.render(study.read(THROTTLE.raw))
