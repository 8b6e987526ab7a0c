"""RESULTS.md: everything that a run found."""

from loadtests.analysis.results import Results
from loadtests.analysis.stats import PAIRS_FOR_AN_INTERVAL
from loadtests.analysis.summary import profiles
from loadtests.load.profiles import BENCHED
from loadtests.report.cost import cost, time_spent, until_recorded
from loadtests.report.knee import open_model
from loadtests.report.latency import drift, percentiles, rates
from loadtests.report.trials import counts, every_trial, machine
from loadtests.report.verdict import verdict

GUIDE = f"""## How to read it

- **Latency**: the time of one request, of successful requests only, in milliseconds. A percentile is exact
  for each trial; shown is the median of the trials. "-" means nothing valid, or too few requests (a p95 needs
  2,000, a p99 10,000).
- **Floor**: the same load against a handler that does nothing. So much of a figure is the harness.
- **Ratio**: taken pair by pair; shown is the median, with an interval of that median. Fewer than
  {PAIRS_FOR_AN_INTERVAL} pairs are too few for an interval.
- **A/A band**: how far a twin differs from itself. A ratio whose interval holds 1, or lies inside that band,
  is marked indistinguishable.
- **Closed model**: a user waits for the answer, thinks 100 ms on average, and sends the next event. So a slow
  twin is asked less often.
- **Open model**: requests come at a fixed rate. A latency counts from when its request was due.
- **Counts**: every event of every trial, also of invalid ones and of the warm-up, compared fingerprint by
  fingerprint after the drain. Lost: acknowledged, but not recorded. Extra: recorded, though neither
  acknowledged nor unanswered. Unanswered: no answer, or a 503.
- **Until it is in MySQL**: an answer is not the end of the work. A probe sends two new events a second, and
  looks for them every 50 ms. The drain lasts from the end of the load until MySQL's total stands still.
- **Cost**: from before the load to the end of the drain, of valid trials.
- **Where the time goes**: the client's mean is that of the measured levels. The others are the app's own
  metrics over the whole trial. The app sees neither the way to it nor the wait to be served."""


def render(results: Results) -> str:
    """Return the report as Markdown; the same results always give the same text."""
    sections = [_head(results), *(_profile(results, each) for each in profiles(results))]
    return "\n\n".join([*sections, every_trial(results), machine(results["environment"])]) + "\n"


def _head(results: Results) -> str:
    third = f"`other` is the implementation at {results['host']}.\n" if results["host"] else ""
    return f"""# Results

{verdict(results)}

Run `{results["run"]}`, started {results["started_at"]}, {results["seconds"]:.0f} s long;
commit `{results["commit"]}`, profile `{results["profile"]}`, seed {results["seed"]}.
{third}To repeat it: `{results["command"]}`.
How it was measured, and what makes a trial count: [docs/method.md](docs/method.md).
Measured apart: [the steps between the twins](docs/ladder.md), [the async twin's limits](docs/limits.md),
[how both grow](docs/growth.md), [a noisy service, and a rush of new issues](docs/throttle.md),
[faults](docs/faults.md), [a long outage](docs/endurance.md).

Made by `make report` from `loadtests/results/{results["run"]}/results.json`; do not edit. Beside it are
`report.html` with charts, on logarithmic axes, and `results.csv` for a spreadsheet. Every field is described
in [schema.json](loadtests/results/schema.json).

{GUIDE}"""


def _profile(results: Results, profile: str) -> str:
    if profile == "knee":
        latency = [open_model(results)]
    else:
        latency = [
            *(percentiles(results, profile, name) for name in ("p95", "p99")),
            *([drift(results, profile)] if profile == "soak" else []),
            rates(results, profile),
        ]
    after = (each(results, profile) for each in (counts, until_recorded, cost, time_spent))
    return "\n\n".join([f"## {profile}", BENCHED[profile].about, *latency, *after])
