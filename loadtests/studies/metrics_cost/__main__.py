"""`python -m loadtests.studies.metrics_cost`: what its metrics cost the async twin, in interleaved pairs.

50 connections that never think: app and Redis are saturated on one core, the generator has another. Neither
worker nor scheduler runs, nor does Prometheus scrape: their CPU would only hide some of that of the metrics.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from loadtests.analysis.results import Ratio
from loadtests.analysis.stats import ratio
from loadtests.load.profiles import PROFILES
from loadtests.load.workload import stream
from loadtests.report.verdict import spread
from loadtests.stack import Stack, StackError
from loadtests.trial.generator import Load, TrialFailed, generate
from loadtests.trial.observation import cpu_seconds
from loadtests.trial.validity import level_reasons
from shared.settings import load

WITH, WITHOUT = "async_dedup", "unmeasured"
PAIRS = 12


class Figures(NamedTuple):
    cpu_us: float
    """Of the app, per request."""
    rps: float
    doubts: list[str]


class Pair(NamedTuple):
    """The same load on both."""

    with_metrics: Figures
    without: Figures

    @property
    def cpu(self) -> float:
        return self.with_metrics.cpu_us / self.without.cpu_us

    @property
    def rate(self) -> float:
        return self.without.rps / self.with_metrics.rps


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtests.studies.metrics_cost", description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each trial that are measured")
    options = parser.parse_args(arguments)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="twins-") as folder,
            Stack(Path(folder), load(), pin=True) as stack,
        ):
            stack.start("mysql", "redis")
            pairs = [show(number, pair(stack, number, options.seconds)) for number in range(options.pairs)]
    except (StackError, TrialFailed) as error:
        print(f"metrics_cost: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"CPU of the app:  {cost(ratio([each.cpu for each in pairs]))}")
    print(f"saturated rate:  {cost(ratio([each.rate for each in pairs]))}")
    return 0


def pair(stack: Stack, number: int, seconds: float) -> Pair:
    """Run both in an order that is drawn. Raises StackError and TrialFailed."""
    order = stream("metrics_cost", number).sample([WITH, WITHOUT], 2)
    found = {
        role: trial(stack, role, Load(PROFILES["saturated"].with_level_seconds([seconds]), number))
        for role in order
    }
    return Pair(found[WITH], found[WITHOUT])


def trial(stack: Stack, role: str, load: Load) -> Figures:
    stack.reset()
    stack.start(role)
    try:
        before = cpu_seconds(stack.pid(role))
        record = generate(stack, stack.base_url(role), load, lambda _: None)
        used = cpu_seconds(stack.pid(role)) - before
    finally:
        stack.stop(role)
    (level,) = record["levels"]
    answered = sum(record["acknowledged"].values())
    return Figures(used / answered * 1e6, level["achieved_rps"], level_reasons(level))


def show(number: int, found: Pair) -> Pair:
    (cpu, rps, doubts), (cpu_without, rps_without, doubts_without) = found
    print(
        f"pair {number + 1}: {cpu:.1f} us of CPU per request with metrics, {cpu_without:.1f} without; "
        f"{rps:,.0f} requests/s, {rps_without:,.0f}",
        *{*doubts, *doubts_without},
        flush=True,
    )
    return found


def cost(found: Ratio) -> str:
    return f"with metrics {found['median'] - 1:+.1%} ({spread(found)})"


if __name__ == "__main__":
    sys.exit(main())
