"""What a driver makes of the steps of a knee, from records that no generator had to run for."""

from typing import Any
from unittest.mock import Mock

import pytest

from loadtests.trial import driver, knee
from loadtests.trial.driver import Driver
from loadtests.trial.generator import Load
from tests.samples import level


def recorded(load: Load, lag_ms: float) -> dict[str, Any]:
    """What a generator with that lag records of a step."""
    (planned,) = load.profile.levels
    step = level(planned.users, p95=5.0, rate=planned.rate)
    step["generator"]["loop_lag_p99_ms"] = lag_ms
    counts: dict[str, dict[str, int]] = {name: {} for name in ("failed", "acknowledged", "unanswered")}
    times = {"cpu_seconds": 1.0, "began_at": 0.0, "ended_at": 0.0}
    return {"levels": [step], "timeline": None, "services": {}, "service_of": {}, **times, **counts}


def driver_with(lag_ms: float, monkeypatch: pytest.MonkeyPatch) -> Driver:
    monkeypatch.setattr(driver, "generate", lambda _stack, _url, load, **_: recorded(load, lag_ms))
    return Driver(Mock(), "", seed=1, show=Mock())


def names(of: Driver) -> list[str]:
    return [each["name"] for each in of.levels]


def test_where_the_generator_is_starved_there_is_no_knee(monkeypatch: pytest.MonkeyPatch) -> None:
    starved = driver_with(500.0, monkeypatch)
    starved.follow(knee.search())
    assert starved.knee
    assert starved.knee["rps"] is None
    assert starved.knee["limit"].startswith("at 50/s the generator")
    assert names(starved) == ["50/s, first try", "50/s"]
    assert not any(level["valid"] for level in starved.levels)


def test_a_rate_that_a_hiccup_made_too_much_is_tried_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knee, "why_too_much", Mock(side_effect=["slow", None, "slow", "slow"]))
    steps = driver_with(1.0, monkeypatch)
    steps.follow(knee.climb(rates=(50.0, 60.0), precision=2))
    assert steps.knee == {"rps": 50.0, "limit": "at 60/s slow"}
    assert names(steps) == ["50/s, first try", "50/s", "60/s, first try", "60/s"]


def test_the_knee_has_to_hold_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knee, "why_too_much", Mock(side_effect=["slow", "slow", None]))
    steps = driver_with(1.0, monkeypatch)
    steps.follow(knee.confirm({"rps": 110.0, "limit": ""}))
    assert steps.knee == {"rps": pytest.approx(100.0), "limit": "at 110/s, tried again, slow"}
    assert names(steps) == ["110/s, again, first try", "110/s, again", "100 % of the knee"]
