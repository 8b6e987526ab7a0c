"""Lab 7 asks the async twin for its state until it answers, and takes no silence for one."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from loadtests.labs import broken
from loadtests.stack import Stack, StackError
from tests.parts import LIMIT, frozen


def test_a_twin_that_does_not_answer_is_asked_again(
    stack: Stack, async_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broken, "HEALTH_SECONDS", LIMIT)
    with ThreadPoolExecutor(1) as pool:
        with frozen(stack.pid("async_dedup")):
            asked = pool.submit(broken._state, stack)
            with pytest.raises(TimeoutError):
                asked.result(broken.ASK_SECONDS + 0.5)
        assert asked.result(LIMIT) == "redis"


def test_a_twin_that_never_answers_has_no_state(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broken, "HEALTH_SECONDS", 0.3)
    stack.stop("async_dedup")
    with pytest.raises(StackError, match="async_dedup does not tell its health"):
        broken._state(stack)
