"""The profile's events from as many users as Locust's own web UI says: for whoever wants to play.

`make load` starts it. Its figures are Locust's: what counts is measured by `make bench`, which needs an
eighth less CPU for it.
"""

# mypy: disable-error-code="no-untyped-call, untyped-decorator"
# Locust declares types for a part of itself only.

from itertools import count

from locust import FastHttpUser, task

from loadtests.load import workload
from shared.event import PATH

SEED = 1


class Reporter(FastHttpUser):
    """Reports an error, waits for the answer, thinks."""

    numbers = count()

    def on_start(self) -> None:
        name = f"player {next(self.numbers)}"
        self.events = workload.events(SEED, name)
        self.think_times = workload.think_times(SEED, name)

    def wait_time(self) -> float:
        return next(self.think_times)

    @task
    def report(self) -> None:
        body = next(self.events).body.decode()
        self.client.post(PATH, data=body, headers={"Content-Type": "application/json"})
