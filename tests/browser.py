"""A real headless Chromium."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from loadtests.bootstrap import BROWSERS, NO_BROWSER, find_program
from loadtests.labs.handouts.chromium import FLAGS


@contextmanager
def chromium() -> Iterator[Browser]:
    program = find_program(*BROWSERS)
    assert program, NO_BROWSER
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield running
        running.close()
