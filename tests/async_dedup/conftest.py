"""What several files of this folder need."""

import logging
from collections.abc import Iterator

import pytest

from tests.async_dedup.served import Served


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    # pytest listens to this logger, and who logs each request takes the long way.
    monkeypatch.setattr(logging.getLogger("uvicorn.access"), "hasHandlers", lambda: False)
    served = Served()
    try:
        yield served
    finally:
        served.stop()
        served.thread.join(20)
        assert not served.thread.is_alive()
