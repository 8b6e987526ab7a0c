"""`python -m loadtests.studies.ladder`: write docs/ladder.md again."""

import sys

from loadtests.studies.ladder.page import write

try:
    write()
except FileNotFoundError as error:
    sys.exit(f"ladder: {error}")
