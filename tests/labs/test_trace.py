"""Lab 1 shows what an event leads to, and nothing of what else asks Redis meanwhile."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from loadtests.labs.trace import send, trace
from loadtests.stack import Stack
from loadtests.stack.scrape import fetch
from tests.parts import wait_until


@contextmanager
def scraping(stack: Stack) -> Iterator[list[str | None]]:
    """As the live page does, but without a pause."""
    end, told = threading.Event(), list[str | None]()

    def scrape() -> None:
        while not end.is_set():
            told.append(fetch(stack.address("async_dedup"), 5.0))

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield told
    finally:
        end.set()
        thread.join()


def test_a_scrape_is_no_step_of_an_event(stack: Stack, async_url: str) -> None:
    send(async_url, "lab 1")
    with scraping(stack) as told:
        wait_until(lambda: any(told))
        found = [trace(stack, async_url, "lab 1", 0.3) for _ in range(3)]
    for each in found:
        asked = [step["what"].split()[0] for step in each["steps"] if step["who"] == "Redis"]
        assert asked[0] == "EVALSHA"
        assert "XLEN" not in asked, "no script asks that"
