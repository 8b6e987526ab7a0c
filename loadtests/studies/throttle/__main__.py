"""`python -m loadtests.studies.throttle`: measure, and write the tables of docs/throttle.md.

`make bench PROFILE=noisy` and `PROFILE=rush` measure two parts each: with Redis, and with Redis killed.
"""

import sys
from functools import partial

from loadtests.load.profiles import NOISY
from loadtests.load.subjects import TWINS
from loadtests.studies import study
from loadtests.studies.study import Part, Study
from loadtests.studies.throttle import cost, noisy, page, rush, without_redis

PAIRS = 3
START_AND_DRAIN = 15.0
"""Seconds of a trial besides its load."""
RUSH = {"naive_sync": 60.0, "async_dedup": 25.0}
SATURATED = 25.0
"""Seconds of a trial of the cost, with the start of its servers."""
THROTTLE = Study(
    "throttle",
    {
        "noisy": Part(PAIRS * len(noisy.CASES) * (NOISY.seconds + START_AND_DRAIN), noisy.noisy),
        "noisy-killed": Part(without_redis.PROFILE.seconds + START_AND_DRAIN, without_redis.noisy),
        "rush": Part(PAIRS * sum(RUSH[twin] for twin in TWINS), rush.rush),
        "rush-killed": Part(len(rush.KILLED) * RUSH["async_dedup"], partial(rush.killed, users=rush.USERS)),
        "cost": Part(cost.PAIRS_OF_EACH * PAIRS * len(cost.CASES) * SATURATED, cost.cost),
    },
    page.render,
)


def main(arguments: list[str] | None = None) -> int:
    parser = study.parser(THROTTLE)
    parser.add_argument(
        "--pairs",
        type=int,
        default=PAIRS,
        help="trials of each, of noisy and of rush; of the cost four times as many",
    )
    return study.run(THROTTLE, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
