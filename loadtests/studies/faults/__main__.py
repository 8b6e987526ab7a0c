"""`python -m loadtests.studies.faults`: inject every kind of fault, and write docs/faults.md."""

import sys
from functools import partial

from loadtests.studies import study
from loadtests.studies.faults import page
from loadtests.studies.faults.campaign import TIMES, Campaign, campaign
from loadtests.studies.faults.kinds import FAULTS
from loadtests.studies.study import Part, Setup, Study

SECONDS = 1.6
"""Of a fault, about, and what follows it."""


def _part(name: str, setup: Setup) -> list[Campaign]:
    return campaign(setup, [name], setup.options.times)


CAMPAIGN = Study(
    "faults", {name: Part(TIMES * SECONDS, partial(_part, name)) for name in FAULTS}, page.render
)


def main(arguments: list[str] | None = None) -> int:
    parser = study.parser(CAMPAIGN)
    parser.add_argument("--times", type=int, default=TIMES, help="how often each is injected")
    return study.run(CAMPAIGN, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
