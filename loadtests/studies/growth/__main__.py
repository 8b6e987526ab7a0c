"""`python -m loadtests.studies.growth`: measure how cost grows, and write docs/growth.md."""

import argparse
import json
import sys
from functools import partial

from loadtests.analysis.results import newest
from loadtests.analysis.summary import knee
from loadtests.load.subjects import TWINS
from loadtests.studies import study
from loadtests.studies.growth.page import render
from loadtests.studies.growth.series import SERIES, points
from loadtests.studies.study import Part, Study

POINT_SECONDS = 17.5
PREFILL_SECONDS = 25.0
"""Of the fingerprints, all points."""
GROWTH = Study(
    "growth",
    {
        name: Part(
            POINT_SECONDS * len(series.values) + PREFILL_SECONDS * (name == "fingerprints"),
            partial(points, name=name),
        )
        for name, series in SERIES.items()
    },
    render,
)


def main(arguments: list[str] | None = None) -> int:
    parser = study.parser(GROWTH)
    parser.add_argument(
        "--knees",
        type=knees,
        help="requests/s of naive_sync,async_dedup; without it those of the newest published run",
    )
    options = parser.parse_args(arguments)
    options.knees = options.knees or published_knees()
    if options.knees is None and options.parts != "page":
        parser.error("no published run has the knees of both twins; tell them with --knees")
    return study.run(GROWTH, options)


def knees(words: str) -> dict[str, float]:
    try:
        naive, async_ = map(float, words.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{words!r} is not two rates with a comma between") from None
    return dict(zip(TWINS, (naive, async_), strict=True))


def published_knees() -> dict[str, float] | None:
    source = newest()
    results = json.loads(source.read_text()) if source else None
    found = {twin: knee(results, twin) for twin in TWINS} if results else {}
    return {twin: rate for twin, rate in found.items() if rate} if all(found.values()) and found else None


if __name__ == "__main__":
    sys.exit(main())
