"""`python -m loadtests.studies.limits`: measure the async twin's limits, and write docs/limits.md."""

import sys

from loadtests.studies import study
from loadtests.studies.limits import bound, lone, page, pipeline, saturated, start
from loadtests.studies.study import Part, Study

PAIRS = 5
LIMITS = Study(
    "limits",
    {
        "saturation": Part(120, saturated.saturation),
        "bound": Part(70, bound.bounds),
        "crowd": Part(105, saturated.crowd),
        "lone": Part(240, lone.lone),
        "minute": Part(75, saturated.minute),
        "flush": Part(130, pipeline.flushes),
        "digest": Part(20, pipeline.digests),
        "memory": Part(8, pipeline.memory),
        "start": Part(12, start.starts),
    },
    page.render,
)


def main(arguments: list[str] | None = None) -> int:
    parser = study.parser(LIMITS)
    parser.add_argument("--pairs", type=int, default=PAIRS, help="of saturation, and trials of the crowd")
    return study.run(LIMITS, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
