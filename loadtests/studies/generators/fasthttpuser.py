"""The same events sent with Locust's own FastHttpUser: what `locustfile` is measured against."""

# mypy: disable-error-code="no-untyped-call, untyped-decorator, misc, arg-type"
# Locust declares types for a part of itself only.

from itertools import count

from locust import FastHttpUser, task

from loadtests.load import workload
from shared.event import PATH

NUMBERS = count()
HEADERS = {"Content-Type": "application/json"}


class Plain(FastHttpUser):
    def on_start(self) -> None:
        self.events = workload.events(1, next(NUMBERS))

    @task
    def report(self) -> None:
        self.client.post(PATH, data=next(self.events).body, headers=HEADERS)
