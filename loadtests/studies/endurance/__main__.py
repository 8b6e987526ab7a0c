"""`python -m loadtests.studies.endurance`: measure, and write docs/endurance.md."""

import sys
from functools import partial

from loadtests.studies import study
from loadtests.studies.endurance.outage import OUTAGES, outlast
from loadtests.studies.endurance.page import render
from loadtests.studies.endurance.soak import SECONDS, soak
from loadtests.studies.study import Part, Study

DRAIN_SECONDS = 150.0
ENDURANCE = Study(
    "endurance",
    {
        **{
            name: Part(planned.seconds + DRAIN_SECONDS, partial(outlast, name=name))
            for name, planned in OUTAGES.items()
        },
        "soak": Part(SECONDS, soak),
    },
    render,
)


def main(arguments: list[str] | None = None) -> int:
    return study.run(ENDURANCE, study.parser(ENDURANCE).parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
