"""`python -m loadtests.report`: write everything again that is made from the runs in loadtests/results."""

import json
import sys

from loadtests.analysis.results import FILE, RESULTS
from loadtests.report import write, write_beside, write_readme, write_soak

try:
    write()
    write_readme()
    write_soak()
except FileNotFoundError as error:
    sys.exit(f"report: {error}")
for source in sorted(RESULTS.rglob(FILE)):
    write_beside(source, json.loads(source.read_text()))
