"""Serves the page until SIGTERM: `python -m loadtests.live RUN_DIR`, started by the stack of that folder."""

import os
import sys
from pathlib import Path

from loadtests.live.feed import Feed
from loadtests.live.sampler import EVERY, Sampler
from loadtests.live.server import serve
from loadtests.live.stop import stop_at_signals
from shared.settings import load


def main() -> None:
    settings, stop, feed = load(), stop_at_signals(), Feed()
    sampler = Sampler(Path(sys.argv[1]), settings, stack_pid=os.getppid())
    with serve(settings.live_port, feed, settings.flush_interval):
        feed.add(sampler.sample())
        while not stop.wait(EVERY):
            feed.add(sampler.sample())
        feed.add(sampler.sample())  # with the last audit


if __name__ == "__main__":
    main()
