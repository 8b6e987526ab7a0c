"""The load generator's view, and the audits', as metrics: `python -m loadtests.live.exporter PROGRESS_FILE`.

A process of its own that reads what Locust writes each second: it outlives each run, so that the last sample
is scraped too, and costs the generator nothing.
"""

import os
import sys
import threading
from pathlib import Path
from typing import Any

from prometheus_client import Counter, Gauge, start_http_server

from loadtests.live.stop import stop_at_signals
from loadtests.load.progress import SILENCE, Tail, Told
from loadtests.stack.observers import RUN
from shared.settings import load

LOOK_EVERY = 0.1

users = Gauge("loadtest_users", "Users that send.")
offered_rate = Gauge("loadtest_offered_rate", "Requests per second that are due; open model only, else 0.")
achieved_rate = Gauge("loadtest_achieved_rate", "Requests per second that were answered in the last second.")
p95 = Gauge("loadtest_p95_seconds", "Client's p95 of the running level so far; NaN without an answer.")
failures = Counter("loadtest_failures", "Requests that failed, as the client sees it.")
running = Gauge("loadtest_running", "1 while load is sent.", ("profile", "target", "run"))
audited = Gauge(
    "loadtest_audited_events", "What the audits of this run's trials have found so far.", ("twin", "found")
)


class View:
    """What the metrics show."""

    def __init__(self) -> None:
        self._failed = 0

    def show(self, line: dict[str, Any]) -> None:
        failed = line["failed"]
        failures.inc(failed - self._failed if failed >= self._failed else failed)
        self._failed = failed
        users.set(line["users"])
        offered_rate.set(line["offered"] or 0)
        achieved_rate.set(line["rate"])
        p95.set(float("nan") if line["p95_ms"] is None else line["p95_ms"] / 1000)
        running.clear()
        running.labels(line["profile"], line["target"], os.environ.get(RUN, "")).set(1)

    def show_silence(self) -> None:
        self._failed = 0
        for gauge in (users, offered_rate, achieved_rate):
            gauge.set(0)
        p95.set(float("nan"))
        running.clear()


def show_audits(audits: dict[str, dict[str, int]]) -> None:
    for twin, found in audits.items():
        for name, events in found.items():
            audited.labels(twin, name).set(events)


def follow(tail: Tail, view: View, stop: threading.Event) -> None:
    """Show each line until `stop` is set."""
    silence, told = 0.0, Told()
    while not stop.wait(LOOK_EVERY):
        silence += LOOK_EVERY
        for line in told.take(tail.lines()):
            view.show(line)
            silence = 0.0
        show_audits(told.audits)
        if silence > SILENCE:
            view.show_silence()


def main() -> None:
    settings, stop = load(), stop_at_signals()
    start_http_server(settings.load_exporter_port, settings.host)
    follow(Tail(Path(sys.argv[1])), View(), stop)


if __name__ == "__main__":
    main()
