"""What a service may, by the settings; and what it is told where it may not."""

from typing import Any

import pytest

from shared.fingerprint import fingerprint
from shared.quota import OVERFLOW, Quota, Quotas, overflow, throttled
from shared.settings import Settings


def quotas_of(**settings: Any) -> Quotas:
    return Quotas(Settings(**settings))


def test_without_settings_nobody_has_any() -> None:
    quotas = quotas_of()
    assert (quotas.is_any, quotas.has_rates, quotas.has_budgets) == (False, False, False)
    assert not quotas.of("shop").is_any


@pytest.mark.parametrize(
    ("settings", "burst"),
    [
        ({"rate_limit": 10}, 10),
        ({"rate_limit": 2.5}, 3),
        ({"rate_limit": 0.001}, 1),
        ({"rate_limit": 10, "rate_burst": 1}, 1),
        ({"rate_limit": 1, "rate_burst": 50}, 50),
    ],
)
def test_a_burst_that_is_not_set_is_what_comes_in_a_second(settings: dict[str, float], burst: int) -> None:
    quota = quotas_of(**settings).of("shop")
    assert quota == Quota(settings["rate_limit"], burst, 0)
    assert quota.is_any


def test_a_service_has_its_own_where_it_is_named_and_the_default_for_the_rest() -> None:
    services = {
        "shop": {"rate_limit": 5},
        "free": {"rate_limit": 0, "new_issues": 0},
        "few": {"new_issues": 1, "rate_burst": 2},
    }
    quotas = quotas_of(rate_limit=10, rate_burst=20, new_issues=100, services=services)
    assert quotas.of("another") == Quota(10, 20, 100)
    assert quotas.of("shop") == Quota(5, 20, 100)
    assert quotas.of("few") == Quota(10, 2, 1)
    assert not quotas.of("free").is_any
    assert quotas.of("shop ") == quotas.of("another")
    assert [quotas.is_named(name) for name in ("shop", "free", "another")] == [True, True, False]


def test_that_only_one_service_has_a_limit_is_known() -> None:
    rates = quotas_of(services={"shop": {"rate_limit": 5}})
    budgets = quotas_of(services={"shop": {"new_issues": 5}})
    assert (rates.is_any, rates.has_rates, rates.has_budgets) == (True, True, False)
    assert (budgets.is_any, budgets.has_rates, budgets.has_budgets) == (True, False, True)


@pytest.mark.parametrize(
    ("wait", "told"), [(0.0, 1), (0.001, 1), (1.0, 1), (1.001, 2), (59.5, 60), (-3.0, 1)]
)
def test_a_wait_is_told_in_whole_seconds_and_never_too_short(wait: float, told: int) -> None:
    refused = throttled(Quota(2, 5, 0), wait)
    assert refused.status == 429
    assert refused.headers == {
        "Retry-After": str(told),
        "RateLimit-Policy": '"service";q=5;w=3',
        "RateLimit": f'"service";r=0;t={told}',
    }


def test_a_policy_has_whole_seconds() -> None:
    assert throttled(Quota(1_000, 10, 0), 0.1).headers["RateLimit-Policy"] == '"service";q=10;w=1'
    assert throttled(Quota(0.01, 3, 0), 0.1).headers["RateLimit-Policy"] == '"service";q=3;w=300'


def test_each_service_has_an_overflow_issue_of_its_own() -> None:
    assert overflow("shop").fingerprint == fingerprint(OVERFLOW, "shop")
    assert overflow("shop ").fingerprint != overflow("shop").fingerprint
    assert overflow("default").fingerprint == fingerprint(OVERFLOW)
    assert (overflow("shop").message, overflow("shop").stack_trace) == (OVERFLOW, None)
