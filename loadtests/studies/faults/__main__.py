"""`python -m loadtests.studies.faults`: inject every kind of fault, and write docs/faults.md."""

import sys
from functools import partial

from loadtests.studies import study
from loadtests.studies.faults import page
from loadtests.studies.faults.campaign import TIMES, Campaign, campaign
from loadtests.studies.faults.kinds import FAULTS, why_not_here
from loadtests.studies.study import Part, Setup, Study

SECONDS = 2.1
"""Of a fault, about, and what follows it."""


def _part(name: str, setup: Setup) -> list[Campaign]:
    print(f"{name}: seed {setup.options.seed}, {setup.options.times} times", flush=True)
    return campaign(setup, name, setup.options.times)


HERE = {name: fault for name, fault in FAULTS.items() if not why_not_here(fault)}
CAMPAIGN = Study(
    "faults",
    {name: Part(TIMES * SECONDS * len(fault.twins), partial(_part, name)) for name, fault in HERE.items()},
    page.render,
)


def main(arguments: list[str] | None = None) -> int:
    for fault in FAULTS.values():
        if why := why_not_here(fault):
            print(f"left out: {fault.name}: {why}", flush=True)
    parser = study.parser(CAMPAIGN)
    parser.add_argument("--times", type=int, default=TIMES, help="how often each is injected")
    return study.run(CAMPAIGN, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
