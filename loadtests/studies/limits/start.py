"""How long the API takes from the start of its process to its first ready answer."""

import time
from urllib.parse import urlsplit

from loadtests.stack.roles import answers
from loadtests.studies.study import Setup, emptied

READY = "/api/v1/ready"
STARTS = 5
LOOK_EVERY = 0.01
ROLE = "async_dedup"


def starts(setup: Setup, times: int = STARTS) -> list[float]:
    """Return the seconds of each start, beside worker and scheduler; too high by 0.05 s at most."""
    found = []
    with setup.stack() as stack:
        emptied(stack).dispose()  # else the scheduler flushes what the part before has left
        stack.start("worker", "scheduler")
        url = urlsplit(stack.base_url(ROLE))
        for each in range(1, times + 1):
            setup.display.step(f"start {each} of {times}")
            began = time.perf_counter()
            stack.start(ROLE)
            while not answers(str(url.hostname), url.port or 80, READY):
                time.sleep(LOOK_EVERY)
            found.append(time.perf_counter() - began)
            stack.stop(ROLE)
    return found
