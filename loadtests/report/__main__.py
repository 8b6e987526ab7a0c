"""`python -m loadtests.report`: write what is made from the newest run again."""

import sys

from loadtests.report import write, write_readme, write_soak

try:
    write()
    write_readme()
    write_soak()
except FileNotFoundError as error:
    sys.exit(f"report: {error}")
