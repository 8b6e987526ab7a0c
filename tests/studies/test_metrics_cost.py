"""The cost of the metrics: that what is measured without them has none. The figures depend on the machine."""

import pytest

from loadtests.analysis.stats import ratio
from loadtests.load.profiles import PROFILES
from loadtests.stack import Stack
from loadtests.studies.metrics_cost.__main__ import WITHOUT, Figures, Pair, cost, show, trial
from loadtests.trial.generator import Load
from tests import client
from tests.parts import alone

LOG, HEALTH = (f'route="{path}"' for path in (client.LOG, client.HEALTH))
GROUPS = ("group_events_count 0.0", 'redis_operation_duration_seconds_count{operation="add"} 0.0')


def test_the_twin_without_metrics_does_its_work_and_shows_none_of_it(stack: Stack) -> None:
    with alone(stack):
        stack.start(WITHOUT)
        url = stack.base_url(WITHOUT)
        assert client.log(url, "boom").json["data"] == {"status": "queued"}
        shown = client.get(url, "/metrics").body.decode()
        assert {line.split()[-1] for line in shown.splitlines() if LOG in line} == {"0.0"}
        assert HEALTH in shown
        assert all(line in shown for line in GROUPS)
        found = trial(stack, WITHOUT, Load(PROFILES["saturated"].with_level_seconds([0.6]), seed=1))
        assert not stack.alive(WITHOUT)
    assert found.rps > 50
    assert found.cpu_us > 10


def test_the_cost_is_told_pair_by_pair_and_as_a_median(capsys: pytest.CaptureFixture[str]) -> None:
    found = Pair(Figures(102.0, 980.0, []), Figures(100.0, 1_000.0, ["it lagged"]))
    assert show(0, found) == found
    assert capsys.readouterr().out.startswith(
        "pair 1: 102.0 us of CPU per request with metrics, 100.0 without"
    )
    assert found.cpu == 1.02
    assert found.rate == pytest.approx(1.0204, abs=1e-4)
    assert cost(ratio([1.02] * 6)) == "with metrics +2.0% (97% interval 1.02 to 1.02; 6 pairs)"
