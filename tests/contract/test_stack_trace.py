"""The first stack trace that comes is kept, with the first event of its fingerprint or with a later one."""

from uuid import uuid4

import pytest

from async_dedup.buffer import Buffer
from loadtests.stack import Stack
from shared.fingerprint import fingerprint
from shared.listing import IssueView
from tests.client import issue, log
from tests.parts import wait_until

CASES = {
    "with the first event": (["first", "second", None], "first"),
    "with a later one": ([None, None, "first", "second"], "first"),
    "in the end": ([None, "first"], "first"),
    "never": ([None, None], None),
    "an empty one": ([None, "", "second"], ""),
}


@pytest.mark.parametrize("settled", [False, True], ids=["at once", "each in MySQL before the next"])
@pytest.mark.parametrize(("traces", "kept"), CASES.values(), ids=CASES)
def test_the_first_stack_trace_is_kept(
    stack: Stack, twin_url: str, traces: list[str | None], kept: str | None, settled: bool
) -> None:
    message = f"trace {uuid4()}"
    for trace in traces:
        assert log(twin_url, message, stackTrace=trace).status == 200
        if settled:
            settle(stack, twin_url, message)
    found = settle(stack, twin_url, message)
    assert (found.stackTrace, found.times_seen) == (kept, len(traces))


def settle(stack: Stack, url: str, message: str) -> IssueView:
    """The issue, once nothing waits for a digest: a count may be in MySQL before its payload."""
    buffer = Buffer(stack.settings)
    wait_until(lambda: not buffer.state().first_events)
    return issue(url, fingerprint(message))
