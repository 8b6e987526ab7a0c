"""How an observer is told to stop: the stack sends it SIGTERM."""

import signal
import threading


def stop_at_signals() -> threading.Event:
    """Return what is set at the first of them."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Not set by the handler itself: it may come while `wait` holds the event's lock, in the same thread.
        signal.signal(number, lambda *_: threading.Thread(target=stop.set).start())
    return stop
